import KVEvents

/// A ZMTP 3 peer written by hand over a blocking socket.
final class ZMTPClient {
    let wire: WireClient

    /// Connects as a socket of a type and shakes hands.
    init(_ type: String, port: Int, receiveBufferByteCount: Int32? = nil) throws {
        wire = try WireClient(port: port, receiveBufferByteCount: receiveBufferByteCount)
        try wire.send(ZMTPFrame.greeting)
        guard try wire.receive(64) == ZMTPFrame.greeting else { throw WireError(text: "greeting") }
        try wire.send(ZMTPFrame.command("READY", ZMTPFrame.property("Socket-Type", Array(type.utf8))))
        guard case (true, _, let body) = try receiveFrame(), body.starts(with: [5] + Array("READY".utf8))
        else {
            throw WireError(text: "READY")
        }
    }

    /// A subscriber; the node knows of the subscription when this returns.
    convenience init(subscribingTo topics: String..., port: Int, receiveBufferByteCount: Int32? = nil) throws
    {
        try self.init("SUB", port: port, receiveBufferByteCount: receiveBufferByteCount)
        for topic in topics { try wire.send(ZMTPFrame.command("SUBSCRIBE", Array(topic.utf8))) }
        try synchronize()
    }

    /// Returns when the node has obeyed everything before. Messages that come meanwhile are lost.
    func synchronize() throws {
        try wire.send(ZMTPFrame.command("PING", [0, 0] + Array("sync".utf8)))
        while true {
            let frame = try receiveFrame()
            if frame.isCommand, frame.body == [4] + Array("PONGsync".utf8) { return }
        }
    }

    /// The next message's frames.
    func receive() throws -> [[UInt8]] {
        var parts: [[UInt8]] = []
        while true {
            let frame = try receiveFrame()
            guard !frame.isCommand else { throw WireError(text: "a command") }
            parts.append(frame.body)
            if !frame.isMore { return parts }
        }
    }

    private func receiveFrame() throws -> (isCommand: Bool, isMore: Bool, body: [UInt8]) {
        let flags = try wire.receive(1)[0]
        let length = try wire.receive(flags & 2 == 0 ? 1 : 8).reduce(0) { $0 << 8 | Int($1) }
        return (flags & 4 != 0, flags & 1 != 0, try wire.receive(length))
    }
}

/// One published message.
struct EventMessageSeen {
    let topic: String
    let sequence: UInt64
    let events: [KVEvent]

    init(_ parts: [[UInt8]]) throws {
        guard parts.count == 3, parts[1].count == 8 else { throw WireError(text: "\(parts.count) frames") }
        topic = String(decoding: parts[0], as: UTF8.self)
        sequence = parts[1].reduce(0) { $0 << 8 | UInt64($1) }
        guard let batch = try MessagePackValue(parts[2]).array, batch.count == 3, case .double = batch[0],
            batch[2] == .unsigned(0), let events = batch[1].array
        else { throw WireError(text: "no batch") }
        self.events = try events.map(Self.event)
    }

    private static func event(_ value: MessagePackValue) throws -> KVEvent {
        guard let map = value.map else { throw WireError(text: "no map: \(value)") }
        let medium: EventMediums = map["medium"]?.text == "CPU" ? .memory : .disk
        let hashes = try (map["block_hashes"]?.array ?? []).map { hash in
            guard let bytes = hash.bytes else { throw WireError(text: "a hash that is no bytes") }
            return EventHash(bytes)
        }
        let group = map["group_idx"]?.unsigned.map { UInt32($0) }
        switch map["type"]?.text {
        case "BlockStored":
            guard map["token_ids"] == .array([]), map["lora_id"] == .null, map["lora_name"] == .null,
                let size = map["block_size"]?.unsigned, let parent = map["parent_block_hash"]
            else { throw WireError(text: "\(map)") }
            return .stored(
                .init(
                    hashes: hashes,
                    parent: parent.bytes.map { EventHash($0) },
                    tokenCount: Int(size),
                    medium: medium,
                    group: group
                )
            )
        case "BlockRemoved": return .removed(.init(hashes: hashes, medium: medium, group: group))
        case "AllBlocksCleared": return .allCleared
        default: throw WireError(text: "\(map)")
        }
    }
}

/// A router: what it knows of a node by its events alone.
final class RouterModel {
    private let client: ZMTPClient
    private(set) var mediums: [EventHash: EventMediums] = [:]
    /// The hash before each block in its chain, as it was announced.
    private(set) var parents: [EventHash: EventHash] = [:]
    private(set) var tokenCounts: [EventHash: Int] = [:]
    private(set) var groups: [EventHash: UInt32] = [:]
    private(set) var nextSequence: UInt64?
    private(set) var gapCount = 0
    private(set) var clearCount = 0
    private(set) var topics: Set<String> = []
    /// Events that say what was known already, or take back what was not.
    private(set) var contradictions: [String] = []

    init(_ client: ZMTPClient) {
        self.client = client
    }

    /// Takes messages in until `condition` holds; throws when none comes any more.
    func read(until condition: (RouterModel) throws -> Bool) throws {
        while try !condition(self) { try apply(EventMessageSeen(client.receive())) }
    }

    func apply(_ message: EventMessageSeen) {
        if let nextSequence, message.sequence != nextSequence { gapCount += 1 }
        nextSequence = message.sequence + 1
        topics.insert(message.topic)
        for event in message.events { apply(event) }
    }

    private func apply(_ event: KVEvent) {
        switch event {
        case .allCleared:
            clearCount += 1
            mediums = [:]
        case .stored(let stored):
            var parent = stored.parent
            for hash in stored.hashes {
                if mediums[hash]?.contains(stored.medium) == true { contradictions.append("\(stored)") }
                mediums[hash, default: []].insert(stored.medium)
                if let parent { parents[hash] = parent }
                tokenCounts[hash] = stored.tokenCount
                groups[hash] = stored.group
                parent = hash
            }
        case .removed(let removed):
            for hash in removed.hashes {
                if mediums[hash]?.contains(removed.medium) != true { contradictions.append("\(removed)") }
                mediums[hash]?.remove(removed.medium)
                if mediums[hash]?.isEmpty == true { mediums[hash] = nil }
            }
        }
    }
}
