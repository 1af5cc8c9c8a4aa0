import Blocks
import Membership
import Placement
import Synchronization
import Testing

/// A listener that keeps what it was told, and checks that it is told in order and one at a time.
final class MembershipRecorder: MembershipListener {
    private struct State {
        var isBeingTold = false
        var members: [Member] = []
        var revision: UInt64 = 0
        var fewest = Int.max
        var namespaces: [NamespaceDescription] = []
        var users: [String] = []
        var lostPlaceCount = 0
        var readRevision: UInt64 = 0
        var recordRevision: UInt64 = 0
    }

    private let state = Mutex(State())

    var members: [Member] { state.withLock { $0.members } }
    var names: [String] { members.map(\.name.description) }
    var namespaces: [NamespaceDescription] { state.withLock { $0.namespaces } }
    var users: [String] { state.withLock { $0.users } }
    /// The shortest list since it was last asked to count.
    var fewest: Int { state.withLock { $0.fewest } }

    func countFewest() { state.withLock { $0.fewest = $0.members.count } }

    func membersChanged(_ members: [Member], revision: UInt64) {
        alone { state in
            #expect(revision > state.revision)
            state.revision = revision
            state.members = members
            state.fewest = min(state.fewest, members.count)
        }
    }

    /// How often it was told that the node's record was not there.
    var lostPlaceCount: Int { state.withLock { $0.lostPlaceCount } }

    func placeWasLost() {
        alone { $0.lostPlaceCount += 1 }
    }

    /// How far the source was read.
    var readRevision: UInt64 { state.withLock { $0.readRevision } }
    /// The newest revision of the source by which the node's record was there.
    var recordRevision: UInt64 { state.withLock { $0.recordRevision } }

    func sourceWasRead(upTo revision: UInt64, ownRecordAt recordRevision: UInt64) {
        alone { state in
            state.readRevision = revision
            state.recordRevision = recordRevision
        }
    }

    func namespacesShared(_ descriptions: [NamespaceDescription]) {
        alone { $0.namespaces += descriptions }
    }

    func usersChanged(_ lines: [String]) {
        alone { $0.users = lines }
    }

    private func alone(_ change: (inout State) -> Void) {
        let isAlone = state.withLock { state in
            defer { state.isBeingTold = true }
            return !state.isBeingTold
        }
        #expect(isAlone, "the listener is told one thing at a time")
        state.withLock { state in
            change(&state)
            state.isBeingTold = false
        }
    }
}

/// Waits until something is so; fails after a minute.
func waitUntil(
    _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () throws -> Bool
) async throws {
    for _ in 0..<6_000 {
        if try condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("it never came true: \(what)", sourceLocation: sourceLocation)
    throw EtcdProcess.Failure(description: what)
}
