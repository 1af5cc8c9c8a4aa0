internal import Blocks
internal import ControlAPI
internal import Foundation
internal import KVEvents
internal import SwiftProtobuf

extension Larder_V1_Event {
    /// An event as a message.
    init(_ numbered: NumberedEvent) {
        self.init()
        unixMilliseconds = numbered.unixMilliseconds
        namespaceID = numbered.namespace.description
        switch numbered.event {
        case .stored(let event):
            stored = .with {
                $0.hash = event.hashes.map { Data($0.bytes) }
                if let parent = event.parent { $0.parentHash = Data(parent.bytes) }
                $0.tokens = UInt32(clamping: event.tokenCount)
                $0.tier = Larder_V1_Tier(event.medium)
                if let group = event.group { $0.group = group }
            }
        case .removed(let event):
            removed = .with {
                $0.hash = event.hashes.map { Data($0.bytes) }
                $0.tier = Larder_V1_Tier(event.medium)
                if let group = event.group { $0.group = group }
            }
        case .allCleared: break
        }
    }

    /// Announced blocks as messages of a snapshot, at most 1,024 blocks each.
    static func snapshot(of announced: [(block: EventBlock, mediums: EventMediums)]) -> [Larder_V1_Event] {
        struct Place: Hashable {
            let tier: Larder_V1_Tier
            let group: UInt32?
        }
        var hashes: [Place: [Data]] = [:]
        for (block, mediums) in announced {
            let hash = Data(block.hash.bytes)
            for medium in [EventMediums.memory, .disk] where mediums.contains(medium) {
                hashes[Place(tier: Larder_V1_Tier(medium), group: block.group), default: []].append(hash)
            }
        }
        return hashes.flatMap { place, hashes in
            stride(from: 0, to: hashes.count, by: EventCollector.hashCountMax).map { first in
                .with { event in
                    event.isSnapshot = true
                    event.stored = .with {
                        $0.hash = Array(hashes[first...].prefix(EventCollector.hashCountMax))
                        $0.tier = place.tier
                        if let group = place.group { $0.group = group }
                    }
                }
            }
        }
    }

    /// The same with changes.
    func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }
}

extension Larder_V1_Tier {
    fileprivate init(_ medium: EventMediums) {
        self = medium == .memory ? .memory : .disk
    }
}
