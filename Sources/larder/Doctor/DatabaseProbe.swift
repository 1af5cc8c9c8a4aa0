internal import Blocks
internal import DiskTier

/// Tries the disk tier itself, RocksDB and LZ4 below it: a block goes in, the tier is closed and opened, and the
/// block must come out unchanged and smaller on disk.
enum DatabaseProbe {
    /// Works in `directory`, which must be empty and is the caller's to remove.
    static func check(directory: String) -> Finding {
        let name = "rocksdb with lz4"
        do {
            let (payload, header) = try block()
            let stored = try write(payload, header, directory)
            let read = try read(header, directory)
            guard read == payload else {
                return .failure(
                    name,
                    "a block came back changed or not at all",
                    fix: "reinstall librocksdb and liblz4"
                )
            }
            guard stored < payload.count else {
                return .failure(name, "a block of zeros did not shrink", fix: "reinstall liblz4")
            }
            let sizes = "\(ByteCount(bytes: payload.count)) took \(ByteCount(bytes: stored))"
            return .ok(name, "a block of \(sizes) on disk, and survived closing and opening")
        } catch {
            let message = (error as? CacheError)?.message ?? "\(error)"
            return .failure(name, message, fix: "check that the data directory is writable and not full")
        }
    }

    private static let key = Array("larder doctor".utf8)

    private static func block() throws(CacheError) -> (payload: [UInt8], header: BlockHeader) {
        let prefix = KeyPrefix(words: SIMD2(1, 2))
        let payload = (0..<(1 << 20)).map { $0 < 1_024 ? UInt8(truncatingIfNeeded: $0) : 0 }
        let blockKey = try BlockKey(key)
        let identity = BlockIdentity(prefix: prefix, key: blockKey.span)
        // SAFETY: the checksum reads the array's own bytes during the call.
        let checksum = unsafe payload.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
        let header = BlockHeader(
            identity: identity,
            keyByteCount: key.count,
            attributes: BlockAttributes(createdAt: SystemClock().unixMilliseconds()),
            payloadByteCount: payload.count,
            payloadChecksum: checksum
        )
        return (payload, header)
    }

    private static func open(_ directory: String) throws(CacheError) -> DiskTier {
        try DiskTier.open(
            DiskTierConfiguration(directory: directory, byteCountMax: 64 << 20),
            clock: SystemClock()
        )
    }

    /// Returns the bytes stored.
    private static func write(_ payload: [UInt8], _ header: BlockHeader, _ directory: String) throws -> Int {
        let tier = try open(directory)
        defer { tier.close() }
        let unit = try tier.beginUnit()
        let key = try BlockKey(key)
        // SAFETY: the unit reads the array's own bytes during the call.
        try unsafe payload.withUnsafeBytes { bytes in
            try unsafe unit.append(header: header, key: key.span, payload: bytes)
        }
        try unit.finish()
        return tier.statistics().liveStoredByteCount
    }

    private static func read(_ header: BlockHeader, _ directory: String) throws -> [UInt8]? {
        let tier = try open(directory)
        defer { tier.close() }
        let key = try BlockKey(key)
        var payload = [UInt8](repeating: 0xff, count: header.payloadByteCount)
        // SAFETY: the tier writes exactly the payload's length into the array during the call.
        let found = try unsafe payload.withUnsafeMutableBytes { bytes in
            try unsafe tier.read(header.identity, key: key.span, into: bytes)
        }
        return found == nil ? nil : payload
    }
}
