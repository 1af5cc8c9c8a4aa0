/// For how many of a call's keys something was done, and whether every node that had to be asked has answered.
///
/// Tells a 0 that means "nothing was there" from one that means "nobody answered".
public struct KeyCount: Hashable, Sendable {
    /// The keys for which it is known to be done.
    public let count: Int
    /// Why the call, or a part of it, was not answered; `nil` when all was.
    public let failure: LarderClientError?

    /// Creates a count; with a failure it may be too small.
    public init(_ count: Int, failure: LarderClientError? = nil) {
        self.count = count
        self.failure = failure
    }

    /// Whether every node that had to be asked has answered.
    public var isComplete: Bool { failure == nil }

    /// Names of the nodes of the cluster that did not answer; empty also when the node that was asked did not.
    public var silentNodes: [String] { failure?.silentNodes ?? [] }
}
