/// Why a call to a node did not succeed.
///
/// The engine's face of the client turns every one into a miss.
public struct LarderClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure; open, so that new kinds do not break callers.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case unreachable, timedOut, circuitOpen, overloaded, protocolViolation, unauthorized,
                answeredWithError, incomplete
            case invalidArgument, closed
        }

        private let value: Value

        /// No connection could be made, or it was lost before the reply was whole.
        public static let unreachable = Code(value: .unreachable)
        /// The call's time was over.
        public static let timedOut = Code(value: .timedOut)
        /// The node failed a moment ago and is not asked until a probe succeeds.
        public static let circuitOpen = Code(value: .circuitOpen)
        /// Too many calls wait on the connection.
        public static let overloaded = Code(value: .overloaded)
        /// What came back is no reply, or not one to this request.
        public static let protocolViolation = Code(value: .protocolViolation)
        /// The node does not accept the credentials, or wants some.
        public static let unauthorized = Code(value: .unauthorized)
        /// The node understood the request and refused it.
        public static let answeredWithError = Code(value: .answeredWithError)
        /// Nodes of the cluster did not answer: what was asked is not done there. See `silentNodes`.
        public static let incomplete = Code(value: .incomplete)
        /// The caller's input cannot be right.
        public static let invalidArgument = Code(value: .invalidArgument)
        /// The client was closed.
        public static let closed = Code(value: .closed)

        /// The code's stable name.
        public var description: String { value.rawValue }
    }

    /// The kind of failure.
    public let code: Code
    /// What happened, for a person.
    public let message: String
    /// Names of the nodes that should have answered and did not, where the code is `incomplete`.
    public let silentNodes: [String]

    /// Creates an error.
    public init(_ code: Code, _ message: String, silentNodes: [String] = []) {
        self.code = code
        self.message = message
        self.silentNodes = silentNodes
    }

    /// `code: message`.
    public var description: String { "\(code): \(message)" }
}
