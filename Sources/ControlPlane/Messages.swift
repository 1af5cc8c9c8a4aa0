internal import Blocks
internal import ControlAPI
internal import SwiftProtobuf
internal import Tiering

// The backend's values as messages.

extension Larder_V1_Tier {
    init(_ tier: Tier) {
        self =
            switch tier {
            case .memory: .memory
            case .disk: .disk
            case .peer: .peer
            }
    }
}

extension Larder_V1_NodeMatch {
    init(_ match: NodeMatch) {
        self.init()
        nodeName = match.nodeName
        address = match.address
        leadingBlocks = UInt32(clamping: match.blockCount)
        run = match.runs.map { run in
            .with {
                $0.tier = Larder_V1_Tier(run.tier)
                $0.blockCount = UInt32(clamping: run.blockCount)
            }
        }
        estimatedLoadMilliseconds = match.loadMilliseconds
        payloadBytes = UInt64(clamping: match.payloadByteCount)
    }
}

extension Larder_V1_Explanation {
    init(_ explanation: Tiering.Explanation) {
        self.init()
        sentence = explanation.sentence
        reason =
            switch explanation {
            case .memory: .inMemory
            case .disk: .onDisk
            case .neverSeen: .neverSeen
            case .evicted: .evicted
            case .expired: .expired
            case .deleted: .deleted
            case .replaced: .replaced
            case .corrupt: .corrupt
            }
    }
}

extension Larder_V1_Namespace {
    init(_ description: NamespaceDescription) {
        self.init()
        id = description.id.description
        json = String(decoding: description.canonicalBytes, as: UTF8.self)
    }
}

extension Larder_V1_Figure {
    init(_ name: String, _ value: StatisticValue) {
        self.init()
        self.name = name
        switch value {
        case .integer(let integer): self.integer = Int64(integer)
        case .ratio(let ratio): self.ratio = ratio
        case .text(let text): self.text = text
        }
    }
}

extension Larder_V1_Member {
    init(_ member: ClusterOverview.Member) {
        self.init()
        name = member.name
        address = member.address
        controlAddress = member.controlAddress
        state =
            switch member.state {
            case .joining: .joining
            case .active: .active
            case .draining: .draining
            }
        weight = member.weight
        memoryBytes = member.memoryByteCount
        diskBytes = member.diskByteCount
        isSelf = member.isSelf
    }
}

extension Larder_V1_DrainProgress {
    init(_ step: DrainStep) {
        self.init()
        blocksHanded = UInt64(clamping: step.handedBlockCount)
        bytesHanded = UInt64(clamping: step.handedByteCount)
        blocksLeft = UInt64(clamping: step.remainingBlockCount)
        bytesLeft = UInt64(clamping: step.remainingByteCount)
        finished = step.isFinished
    }
}
