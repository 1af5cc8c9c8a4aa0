/// What went wrong in the cache, with a code for programs and a message that tells a person what to do.
///
/// A miss is never an error: it is `nil`. An overload, a limit or a broken tier is.
public struct CacheError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure; open, so that new kinds do not break callers.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case invalidArgument, limitExceeded, overloaded, memoryExhausted, tierUnavailable, corruptBlock
            case conflict, storageFailure, shuttingDown, unauthorized
        }

        private let value: Value

        /// The caller's input cannot be right: a key too long, a malformed description.
        public static let invalidArgument = Code(value: .invalidArgument)
        /// A named limit would be passed: batch, frame, lease, connection.
        public static let limitExceeded = Code(value: .limitExceeded)
        /// A queue is full; the same request may succeed a moment later.
        public static let overloaded = Code(value: .overloaded)
        /// The memory tier holds nothing that may be evicted for this block.
        public static let memoryExhausted = Code(value: .memoryExhausted)
        /// A tier cannot serve now: disk full, read-only or failing.
        public static let tierUnavailable = Code(value: .tierUnavailable)
        /// Stored bytes fail their identity or checksum test.
        public static let corruptBlock = Code(value: .corruptBlock)
        /// The key is held with other bytes; blocks are immutable.
        public static let conflict = Code(value: .conflict)
        /// The operating system or the database refused an operation.
        public static let storageFailure = Code(value: .storageFailure)
        /// The node is draining.
        public static let shuttingDown = Code(value: .shuttingDown)
        /// Missing or wrong credentials.
        public static let unauthorized = Code(value: .unauthorized)

        /// The code's stable name, as shown in replies and counters.
        public var description: String { value.rawValue }
    }

    /// The kind of failure.
    public let code: Code
    /// What happened and what to do, for a person.
    public let message: String

    /// Creates an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// `code: message`.
    public var description: String { "\(code): \(message)" }
}
