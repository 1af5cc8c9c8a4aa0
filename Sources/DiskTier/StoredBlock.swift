import Blocks
import PayloadCoding

/// Reads one block's records: header and key, then the pieces.
enum StoredBlock {
    enum Outcome {
        case whole(BlockHeader)
        /// Intact, but stored for another key: two keys share a digest.
        case otherKey
        case damaged
    }

    /// Reads, decodes and verifies a block straight into `destination`, which has its payload's length.
    static func read(
        _ entry: IndexEntry,
        key: RawSpan,
        from family: RocksFamily,
        in database: RocksDatabase,
        into destination: UnsafeMutableRawBufferPointer,
        scratch: CodecScratch
    ) -> Outcome {
        var stored = PayloadChecksumStream()
        var codec = PayloadCodec.raw
        var isGood = true
        let outcome = unsafe forEachPiece(of: entry, key: key, from: family, in: database) { header, _ in
            codec = header.codec
        } piece: { range, bytes in
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: destination[range])
            if codec != .raw { unsafe stored.update(bytes) }
            isGood = unsafe codec.decode(bytes, into: piece, scratch: scratch)
            return isGood
        }
        guard case .whole(let header) = outcome else { return outcome }
        // Raw bytes are the payload: its checksum below says it all.
        guard isGood, codec == .raw || stored.value() == header.storedChecksum,
            unsafe PayloadChecksum.of(UnsafeRawBufferPointer(destination)) == header.payloadChecksum
        else { return .damaged }
        return outcome
    }

    /// Lends header and stored pieces of a block; verifies identity, key (when given) and lengths, not the
    /// checksum.
    ///
    /// Header and first piece lie in one table block: an iterator reads it once. The other pieces are read by
    /// key.
    static func forEachPiece(
        of entry: IndexEntry,
        key: RawSpan?,
        from family: RocksFamily,
        in database: RocksDatabase,
        header takeHeader: (BlockHeader, _ key: RawSpan) -> Void,
        piece: (Range<Int>, UnsafeRawBufferPointer) -> Bool
    ) -> Outcome {
        var recordKey = RecordKey(unit: entry.location.unit, kind: .payload, number: entry.location.number)
        let pieces = PayloadPieces(payloadByteCount: Int(entry.payloadByteCount))
        let header: BlockHeader
        do throws(CacheError) {
            var iterator = database.iterator(over: family)
            iterator.seek(recordKey)
            guard iterator.key == recordKey else { return .damaged }
            let outcome = unsafe iterator.withValue { bytes in
                let outcome = unsafe verify(bytes.bytes, entry: entry, key: key)
                if case .whole(let found) = outcome {
                    takeHeader(found, unsafe bytes.bytes.extracting(last: found.keyByteCount))
                }
                return outcome
            }
            guard case .whole(let found) = outcome else { return outcome }
            header = found
            iterator.next()
            recordKey.piece = 1
            guard iterator.key == recordKey else { return .damaged }
            guard unsafe iterator.withValue({ bytes in unsafe piece(pieces[0], bytes) }) else {
                return .damaged
            }
            for number in 1..<max(1, pieces.count) {
                recordKey.piece = UInt32(truncatingIfNeeded: number + 1)
                let isTaken = try unsafe database.withValue(of: recordKey, in: family) { bytes in
                    unsafe piece(pieces[number], bytes)
                }
                guard isTaken == true else { return .damaged }
            }
        } catch {
            return .damaged
        }
        return .whole(header)
    }

    private static func verify(_ bytes: RawSpan, entry: IndexEntry, key: RawSpan?) -> Outcome {
        guard let header = try? BlockHeader(decoding: bytes), header.identity == entry.identity,
            header.payloadByteCount == Int(entry.payloadByteCount),
            bytes.byteCount == BlockHeader.byteCount + header.keyByteCount
        else { return .damaged }
        guard let key else { return .whole(header) }
        let storedKey = bytes.extracting(last: header.keyByteCount)
        let isSame = unsafe storedKey.withUnsafeBytes { stored in
            unsafe key.withUnsafeBytes { unsafe stored.elementsEqual($0) }
        }
        return isSame ? .whole(header) : .otherKey
    }
}
