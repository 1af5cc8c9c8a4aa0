internal import Blocks

/// What a memory file says of itself, 4,096 bytes, little endian; the last 8 are the XXH3 of those before.
struct MemoryFileHeader: Equatable {
    /// Which of the two headers is the newer one.
    var generation: UInt64
    var arenaByteCount: Int
    var placeCount: Int
    var changeCount: Int
    /// Tells whose blocks these are.
    var secretFingerprint: SIMD2<UInt64>
    /// The run that uses the file, or used it last.
    var run: RunMark
    /// The run that is about to take it over: between two writes either of the two may be the latest.
    var nextRun: RunMark
    /// Whose blocks the arena holds or has held.
    var occupants: ArenaTenancy.Occupants
    /// Where the node's identity is; empty when that does not fit.
    var owner: String

    /// "LARDRMEM"
    private static let magic: UInt64 = 0x4d45_4d52_4452_414c
    /// Changes with anything that a file holds, extents and their headers included.
    private static let version: UInt64 = 1
    private static let ownerOffset = 128
    private static let ownerByteCountMax = 3_500

    /// Why a header cannot be read.
    enum Flaw: Error, Equatable {
        /// Another version of this program wrote it.
        case version(UInt64)
        case damaged
    }

    init(layout: MemoryFileLayout, secretFingerprint: SIMD2<UInt64>, owner: String) {
        generation = 0
        arenaByteCount = layout.arenaByteCount
        placeCount = layout.placeCount
        changeCount = layout.changeCount
        self.secretFingerprint = secretFingerprint
        run = .none
        nextRun = .none
        occupants = .nobody
        self.owner = owner.utf8.count <= Self.ownerByteCountMax ? owner : ""
    }

    /// Whether one of the two headers that `bytes` are is one, damaged or not.
    static func isMemoryFile(_ bytes: [UInt8]) -> Bool {
        let mark = (0..<8).map { UInt8(truncatingIfNeeded: magic >> UInt64(8 * $0)) }
        return (0..<MemoryFileLayout.headerCount).contains { number in
            bytes.dropFirst(number * MemoryFileLayout.pageByteCount).starts(with: mark)
        }
    }

    /// Reads the newer of the two headers that `bytes` are.
    static func newest(in bytes: [UInt8]) throws(Flaw) -> MemoryFileHeader {
        var newest: MemoryFileHeader?
        var flaw = Flaw.damaged
        for number in 0..<MemoryFileLayout.headerCount {
            let start = number * MemoryFileLayout.pageByteCount
            guard bytes.count >= start + MemoryFileLayout.pageByteCount else { break }
            do throws(Flaw) {
                let header = try MemoryFileHeader(
                    decoding: Array(bytes[start..<(start + MemoryFileLayout.pageByteCount)])
                )
                if header.generation >= newest?.generation ?? 0 { newest = header }
            } catch {
                if case .version = error { flaw = error }
            }
        }
        guard let newest else { throw flaw }
        return newest
    }

    private init(decoding bytes: [UInt8]) throws(Flaw) {
        func word(_ offset: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
        }
        guard bytes.count == MemoryFileLayout.pageByteCount, word(0) == Self.magic,
            word(bytes.count - 8) == Self.checksum(bytes)
        else { throw .damaged }
        guard word(8) == Self.version else { throw .version(word(8)) }
        let ownerByteCount = Int(clamping: word(120))
        guard let arenaByteCount = Int(exactly: word(24)), let placeCount = Int(exactly: word(32)),
            let changeCount = Int(exactly: word(40)), ownerByteCount <= Self.ownerByteCountMax
        else { throw .damaged }
        generation = word(16)
        self.arenaByteCount = arenaByteCount
        self.placeCount = placeCount
        self.changeCount = changeCount
        secretFingerprint = SIMD2(word(48), word(56))
        run = RunMark(words: SIMD2(word(64), word(72)))
        nextRun = RunMark(words: SIMD2(word(80), word(88)))
        occupants =
            switch word(112) {
            case 1: .nobody
            case 2: .one(TenantMark(words: SIMD2(word(96), word(104))))
            default: .several
            }
        owner = String(
            decoding: bytes[Self.ownerOffset..<(Self.ownerOffset + ownerByteCount)],
            as: UTF8.self
        )
    }

    /// The bytes.
    var encoded: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: MemoryFileLayout.pageByteCount)
        func store(_ value: UInt64, at offset: Int) {
            for index in 0..<8 {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
            }
        }
        store(Self.magic, at: 0)
        store(Self.version, at: 8)
        store(generation, at: 16)
        store(UInt64(arenaByteCount), at: 24)
        store(UInt64(placeCount), at: 32)
        store(UInt64(changeCount), at: 40)
        store(secretFingerprint.x, at: 48)
        store(secretFingerprint.y, at: 56)
        store(run.words.x, at: 64)
        store(run.words.y, at: 72)
        store(nextRun.words.x, at: 80)
        store(nextRun.words.y, at: 88)
        switch occupants {
        case .nobody: store(1, at: 112)
        case .one(let tenant):
            store(tenant.words.x, at: 96)
            store(tenant.words.y, at: 104)
            store(2, at: 112)
        case .several: store(3, at: 112)
        }
        let name = Array(owner.utf8)
        store(UInt64(name.count), at: 120)
        bytes.replaceSubrange(Self.ownerOffset..<(Self.ownerOffset + name.count), with: name)
        store(Self.checksum(bytes), at: bytes.count - 8)
        return bytes
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt64 {
        // SAFETY: the bytes are read during the call only.
        unsafe bytes.withUnsafeBytes {
            unsafe PayloadChecksum.of(UnsafeRawBufferPointer(rebasing: $0.dropLast(8)))
        }
    }

    /// Why the file of this header is not the one to go on with; `nil` when it is.
    func obstacle(
        to layout: MemoryFileLayout,
        fileByteCount: Int,
        _ configuration: MemoryFileConfiguration
    ) -> String? {
        guard arenaByteCount == layout.arenaByteCount else {
            return "it was made for --memory of \(arenaByteCount) bytes, not \(layout.arenaByteCount)"
        }
        guard placeCount == layout.placeCount, changeCount == layout.changeCount,
            fileByteCount == layout.byteCount
        else { return "it is laid out for other limits, or was cut" }
        guard secretFingerprint == configuration.secretFingerprint else {
            return "it belongs to a node with another secret"
        }
        guard let latest = configuration.latestRun, latest == run || latest == nextRun else {
            return "the node ran without it since"
        }
        return nil
    }
}
