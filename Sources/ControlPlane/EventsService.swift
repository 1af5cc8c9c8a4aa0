internal import Blocks
internal import ControlAPI
internal import Foundation
internal import GRPCCore
internal import KVEvents
internal import SwiftProtobuf

/// larder.v1.Events: tells each subscriber what its tenant's events are, at the subscriber's pace.
struct EventsService: Larder_V1_Events.SimpleServiceProtocol {
    let backend: any ControlBackend
    let values: RequestValues
    let source: any EventSource
    let subscribers: TicketCounter
    let snapshots: TicketCounter

    func subscribe(
        request: Larder_V1_SubscribeRequest,
        response: RPCWriter<Larder_V1_Event>,
        context: ServerContext
    ) async throws {
        try await ControlCall.run(context) { call in
            guard let ticket = subscribers.take() else {
                throw ControlError(
                    .resourceExhausted,
                    "this node has \(values.limits.subscriberCountMax) subscribers already"
                )
            }
            defer { withExtendedLifetime(ticket) {} }
            let wanted = try await namespaces(request, call)
            let tenant = call.caller.tenant
            let last = try await tellBeginning(request, wanted, to: response, call)
            try await write(.with { $0.ready = Larder_V1_Event.Ready() }, last.ready, to: response, call)
            var next = last.next
            while true {
                let event = try await source.event(next, of: tenant)
                next += 1
                guard wanted.isEmpty || wanted.contains(event.namespace) else { continue }
                try await write(Larder_V1_Event(event), event.sequence, to: response, call)
            }
        }
    }

    /// Tells the snapshot, if one is wanted.
    ///
    /// - Returns: The number that `ready` has, and the first that is told after it.
    private func tellBeginning(
        _ request: Larder_V1_SubscribeRequest,
        _ wanted: Set<NamespaceID>,
        to response: RPCWriter<Larder_V1_Event>,
        _ call: ControlCall
    ) async throws -> (ready: UInt64, next: UInt64) {
        let tenant = call.caller.tenant
        switch request.start {
        case .now, nil:
            let last = source.lastSequence(of: tenant)
            return (last, last + 1)
        case .position(let position):
            guard position.run == source.run else {
                throw ControlError(
                    .dataLoss,
                    "the numbers are of another run of the node; subscribe with a snapshot"
                )
            }
            guard position.sequence >= 1, position.sequence <= source.lastSequence(of: tenant) + 1 else {
                throw ControlError(.invalidArgument, "the position's sequence is none that was or comes next")
            }
            return (position.sequence - 1, position.sequence)
        case .snapshot:
            guard let ticket = snapshots.take() else {
                throw ControlError(
                    .resourceExhausted,
                    "\(values.limits.snapshotCountMax) snapshots are being told already; try again"
                )
            }
            defer { withExtendedLifetime(ticket) {} }
            let snapshot = try await source.snapshot(of: tenant)
            for (id, blocks) in snapshot.namespaces where wanted.isEmpty || wanted.contains(id) {
                for part in 0..<AnnouncedBlocks.partCount {
                    for message in Larder_V1_Event.snapshot(of: blocks.announced(inPart: part)) {
                        try await write(
                            message.with { $0.namespaceID = id.description },
                            snapshot.sequence,
                            to: response,
                            call
                        )
                    }
                }
            }
            return (snapshot.sequence, snapshot.sequence + 1)
        }
    }

    private func namespaces(
        _ request: Larder_V1_SubscribeRequest,
        _ call: ControlCall
    ) async throws -> Set<NamespaceID> {
        guard request.namespaceID.count <= values.limits.subscribedNamespaceCountMax else {
            throw ControlError(
                .invalidArgument,
                "a subscriber names at most \(values.limits.subscribedNamespaceCountMax) namespaces"
            )
        }
        var wanted: Set<NamespaceID> = []
        for text in request.namespaceID {
            let space = try values.space(text, of: call)
            // Opens it: what is on disk from before is told of.
            _ = try await backend.description(of: space)
            wanted.insert(space.namespace)
        }
        return wanted
    }

    private func write(
        _ event: Larder_V1_Event,
        _ sequence: UInt64,
        to response: RPCWriter<Larder_V1_Event>,
        _ call: ControlCall
    ) async throws {
        let message = event.with {
            $0.run = source.run
            $0.sequence = sequence
        }
        try await call.waitingForClient { try await response.write(message) }
    }
}
