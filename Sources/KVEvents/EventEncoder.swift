/// Writes batches of events as vLLM's publisher does, maps byte for byte: `[seconds, [event ...], rank]`.
///
/// What has its default value is left out of maps, and off the end of arrays.
package struct EventEncoder: Sendable {
    private let dialect: EventDialect
    private let hashForm: HashForm
    /// The rank that an engine without data parallelism publishes.
    private static let rank: UInt64 = 0

    /// Chooses the layout.
    package init(dialect: EventDialect, hashForm: HashForm) {
        self.dialect = dialect
        self.hashForm = hashForm
    }

    /// The payload of one message; `seconds` since 1970.
    package func encode(_ events: [KVEvent], seconds: Double) -> [UInt8] {
        var writer = MessagePackWriter()
        writer.beginArray(count: 3)
        writer.append(double: seconds)
        writer.beginArray(count: events.count)
        for event in events {
            switch dialect {
            case .map: appendMap(event, to: &writer)
            case .array: appendArray(event, to: &writer)
            }
        }
        writer.append(unsigned: Self.rank)
        return writer.bytes
    }

    private func appendMap(_ event: KVEvent, to writer: inout MessagePackWriter) {
        switch event {
        case .stored(let stored):
            // vLLM's encoder writes the head before it knows how many of its 16 pairs it leaves out.
            writer.beginLongMap(count: stored.group == nil ? 8 : 9)
            begin("BlockStored", stored.hashes, to: &writer)
            writer.append(text: "parent_block_hash")
            append(stored.parent, to: &writer)
            writer.append(text: "token_ids")
            writer.beginArray(count: 0)
            writer.append(text: "block_size")
            writer.append(unsigned: UInt64(clamping: stored.tokenCount))
            writer.append(text: "lora_id")
            writer.appendNil()
            writer.append(text: "medium")
            writer.append(text: stored.medium.word)
            writer.append(text: "lora_name")
            writer.appendNil()
            end(stored.group, to: &writer)
        case .removed(let removed):
            writer.beginMap(count: removed.group == nil ? 3 : 4)
            begin("BlockRemoved", removed.hashes, to: &writer)
            writer.append(text: "medium")
            writer.append(text: removed.medium.word)
            end(removed.group, to: &writer)
        case .allCleared:
            writer.beginMap(count: 1)
            writer.append(text: "type")
            writer.append(text: "AllBlocksCleared")
        }
    }

    private func begin(_ type: String, _ hashes: [EventHash], to writer: inout MessagePackWriter) {
        writer.append(text: "type")
        writer.append(text: type)
        writer.append(text: "block_hashes")
        append(hashes, to: &writer)
    }

    private func end(_ group: UInt32?, to writer: inout MessagePackWriter) {
        guard let group else { return }
        writer.append(text: "group_idx")
        writer.append(unsigned: UInt64(group))
    }

    private func appendArray(_ event: KVEvent, to writer: inout MessagePackWriter) {
        switch event {
        case .stored(let stored):
            // Up to the adapter's name; the extra keys stand before the group.
            writer.beginArray(count: stored.group == nil ? 8 : 10)
            writer.append(text: "BlockStored")
            append(stored.hashes, to: &writer)
            append(stored.parent, to: &writer)
            writer.beginArray(count: 0)
            writer.append(unsigned: UInt64(clamping: stored.tokenCount))
            writer.appendNil()
            writer.append(text: stored.medium.word)
            writer.appendNil()
            if let group = stored.group {
                writer.appendNil()
                writer.append(unsigned: UInt64(group))
            }
        case .removed(let removed):
            writer.beginArray(count: removed.group == nil ? 3 : 4)
            writer.append(text: "BlockRemoved")
            append(removed.hashes, to: &writer)
            writer.append(text: removed.medium.word)
            if let group = removed.group { writer.append(unsigned: UInt64(group)) }
        case .allCleared:
            writer.beginArray(count: 1)
            writer.append(text: "AllBlocksCleared")
        }
    }

    private func append(_ hashes: [EventHash], to writer: inout MessagePackWriter) {
        writer.beginArray(count: hashes.count)
        for hash in hashes { append(hash, to: &writer) }
    }

    private func append(_ hash: EventHash?, to writer: inout MessagePackWriter) {
        guard let hash else { return writer.appendNil() }
        switch hashForm {
        case .bytes: writer.append(bytes: hash.bytes)
        case .int64: writer.append(unsigned: hash.low64)
        }
    }
}
