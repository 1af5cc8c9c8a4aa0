package import Blocks
package import Placement
internal import Synchronization

/// Members that were written down: each node is given the same list at its start.
///
/// What changes about a member, such as that it drains, is learnt from the member itself.
package final class StaticMembership: MembershipProvider {
    private struct State {
        var members: [Member]
        var revision: UInt64 = 1
        var listener: (any MembershipListener)?
    }

    private let state: Mutex<State>

    /// Takes the list; the node itself may be in it or not.
    package init(_ members: [Member]) {
        state = Mutex(State(members: members))
    }

    package var status: MembershipStatus { MembershipStatus(source: "static") }

    package func start(_ own: Member, _ listener: any MembershipListener) async throws(CacheError) {
        let isNew = state.withLock { state in
            defer { state.listener = listener }
            return state.listener == nil
        }
        guard isNew else { throw CacheError(.invalidArgument, "a membership is started once") }
        update(own)
    }

    package func update(_ own: Member) {
        // The lock is held meanwhile: listeners hear changes in their order.
        state.withLock { state in
            state.members.removeAll { $0.name == own.name }
            state.members.append(own)
            state.revision += 1
            state.listener?.membersChanged(state.members, revision: state.revision)
        }
    }

    package func share(_ description: NamespaceDescription) {}

    package func stop(leaves: Bool) async {
        state.withLock { $0.listener = nil }
    }
}
