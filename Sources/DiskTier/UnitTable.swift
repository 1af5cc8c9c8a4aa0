import Blocks

/// One unit's table being written: the records of its blocks, then its tail.
final class UnitTable {
    let number: UInt32
    /// Bytes that room was made for.
    let room: Int
    /// Bytes of the records so far, the tail's included.
    private(set) var byteCount = 0
    private(set) var blockCount = 0
    /// Payload bytes of the blocks, as the clients gave them.
    private(set) var payloadByteCount = 0
    /// The same as stored.
    private(set) var storedByteCount = 0
    private let file: TableFile
    private var tail: [UInt8] = []
    private var tailEntries: [(block: UInt32, end: Int)] = []

    /// What a table costs beside its records: index, properties, footer.
    static let overheadByteCount = 64 << 10

    init(number: UInt32, room: Int, path: String, options: RocksOptions) throws(CacheError) {
        self.number = number
        self.room = room
        file = try TableFile(path: path, options: options)
    }

    var path: String { file.path }

    /// Bytes that a block takes in the table, at most.
    static func cost(of header: BlockHeader) -> Int {
        header.payloadByteCount + 2 * (BlockHeader.byteCount + header.keyByteCount) + 128
    }

    /// Bytes that a block takes that is copied as it is stored.
    static func cost(ofStored entry: IndexEntry) -> Int {
        Int(entry.storedByteCount) + 2 * (BlockHeader.byteCount + Limits.keyByteCountMax) + 128
    }

    /// Writes header and key of a block. Its pieces must follow.
    func begin(_ block: UInt32, header: BlockHeader, key: RawSpan) throws(CacheError) {
        let record = TailRecord.encodedBlock(number: block, header: header, key: key)
        // The record at the head of the pieces is the same without its first bytes.
        try unsafe record.span.extracting(droppingFirst: TailRecord.blockOverheadByteCount)
            .withUnsafeBytes { bytes throws(CacheError) in
                try unsafe put(RecordKey(unit: number, kind: .payload, number: block), bytes)
            }
        tail.append(contentsOf: record)
        tailEntries.append((block, tail.count))
        byteCount += record.count + 32
        blockCount += 1
        payloadByteCount += header.payloadByteCount
        storedByteCount += header.storedByteCount
    }

    /// Writes piece `piece` (from 1) of a block.
    func append(_ block: UInt32, piece: Int, _ bytes: UnsafeRawBufferPointer) throws(CacheError) {
        let key = RecordKey(
            unit: number,
            kind: .payload,
            number: block,
            piece: UInt32(truncatingIfNeeded: piece)
        )
        try unsafe put(key, bytes)
    }

    /// Writes the tail and completes the file. Gives its bytes and the number of the last tail record; `nil` when
    /// there is nothing to keep.
    func finish(_ snapshot: WriteState.Snapshot) throws(CacheError) -> (byteCount: Int, lastRecord: UInt32)? {
        let tail = tail
        var recordNumber: UInt32 = 0
        var start = 0
        for entry in tailEntries {
            if snapshot.blockNumbers.contains(entry.block) {
                try unsafe tail.span.extracting(start..<entry.end).withUnsafeBytes {
                    bytes throws(CacheError) in
                    try unsafe put(RecordKey(unit: number, kind: .tail, number: recordNumber), bytes)
                }
                recordNumber += 1
            }
            start = entry.end
        }
        for record in snapshot.records {
            try unsafe record.encoded().span.withUnsafeBytes { bytes throws(CacheError) in
                try unsafe put(RecordKey(unit: number, kind: .tail, number: recordNumber), bytes)
            }
            recordNumber += 1
        }
        guard recordNumber > 0 else { return nil }
        return (try file.finish(), recordNumber - 1)
    }

    private func put(_ key: RecordKey, _ bytes: UnsafeRawBufferPointer) throws(CacheError) {
        try unsafe file.put(key, bytes)
        byteCount += bytes.count + RecordKey.byteCount
    }
}
