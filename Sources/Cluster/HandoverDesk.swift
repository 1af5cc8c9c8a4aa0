internal import Placement
internal import Synchronization

/// How far a node has got with handing its blocks to others.
final class HandoverDesk: Sendable {
    private struct State {
        /// Joining nodes that have got what this one held of theirs, by name and start.
        var served: [NodeName: UInt64] = [:]
        var progress = HandoverProgress()
        /// Nodes that are looked after once more, and when.
        var late: [(name: NodeName, at: UInt64)] = []
    }

    private let state = Mutex(State())

    /// How far it is.
    var progress: HandoverProgress { state.withLock { $0.progress } }

    /// Whether a start of a node has been served.
    func isServed(_ member: Member) -> Bool { state.withLock { $0.served[member.name] == member.run } }

    /// Notes that a start of a node has been served.
    func served(_ member: Member) {
        state.withLock { $0.served[member.name] = member.run }
    }

    /// Asks for a late look after a node, at a time in nanoseconds.
    func lookAgain(after name: NodeName, at time: UInt64) {
        state.withLock { state in
            state.late.removeAll { $0.name == name }
            state.late.append((name, time))
        }
    }

    /// The nodes whose late look is due.
    func takeDue(at now: UInt64) -> [NodeName] {
        state.withLock { state in
            let due = state.late.filter { $0.at <= now }.map(\.name)
            state.late.removeAll { $0.at <= now }
            return due
        }
    }

    /// Changes the progress.
    func note(_ change: (inout HandoverProgress) -> Void) {
        state.withLock { change(&$0.progress) }
    }
}

/// How far a drain, or the service of a joining node, has got.
package struct HandoverProgress: Sendable, Hashable {
    /// What is being done.
    package enum Phase: String, Sendable {
        /// Nothing.
        case idle
        /// Blocks are looked at and given.
        case giving
        /// All is given.
        case done
        /// Some blocks have no node to go to, or were not taken; it is tried again.
        case incomplete
    }

    /// What is being done.
    package var phase = Phase.idle
    /// Blocks looked at so far.
    package var seenBlockCount = 0
    /// Blocks that the next owner had already.
    package var heldBlockCount = 0
    /// Blocks given.
    package var givenBlockCount = 0
    /// Bytes given.
    package var givenByteCount = 0
    /// Blocks that the next owner did not take, or that were gone.
    package var failedBlockCount = 0

    /// Blocks for which no node could be reached, in the last pass of a drain.
    package var unplacedBlockCount = 0
    /// Blocks that were not taken in the last pass of a drain.
    package var unfinishedBlockCount = 0

    /// Nothing yet.
    package init() {}
}
