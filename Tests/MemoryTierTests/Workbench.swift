import Blocks
import Eviction
import MemoryTier
import Synchronization
import TestSupport

/// A small tier on a virtual clock, with what was removed from it.
final class Workbench: Sendable {
    struct Removal: Hashable {
        let identity: BlockIdentity
        let summary: BlockSummary
        let reason: RemovalReason
    }

    let tier: MemoryTier
    let clock: VirtualClock
    private let removalLog: RemovalLog

    private final class RemovalLog: Sendable {
        let removals = Mutex<[Removal]>([])
    }

    /// The default policy is the one whose order is plain to see.
    convenience init(
        byteCount: Int = 16 << 20,
        blockCountMax: Int = 4_096,
        shardCount: Int = 4,
        policy: EvictionPolicyName = .lru
    ) throws(CacheError) {
        try self.init(
            MemoryTierConfiguration(
                byteCount: byteCount,
                blockCountMax: blockCountMax,
                shardCount: shardCount,
                policy: policy
            ),
            clock: VirtualClock()
        )
    }

    init(_ configuration: MemoryTierConfiguration, clock: VirtualClock) throws(CacheError) {
        let log = RemovalLog()
        removalLog = log
        self.clock = clock
        tier = try MemoryTier(configuration, clock: clock) { identity, summary, reason in
            log.removals.withLock {
                $0.append(Removal(identity: identity, summary: summary, reason: reason))
            }
        }
    }

    /// What was removed since the last call.
    func takeRemovals() -> [Removal] {
        removalLog.removals.withLock { removals in
            defer { removals = [] }
            return removals
        }
    }

    static let prefix = KeyPrefix(words: SIMD2(11, 12))

    static func key(_ number: Int) -> [UInt8] { Array("block-\(number)".utf8) }

    static func identity(_ number: Int, prefix: KeyPrefix = prefix) -> BlockIdentity {
        let key = key(number)
        return BlockIdentity(prefix: prefix, key: unsafe key.span.bytes)
    }

    /// Bytes that depend on the seed, quickly made.
    static func bytes(_ seed: Int, count: Int) -> [UInt8] {
        var random = SeededRandom(seed: UInt64(bitPattern: Int64(seed)))
        var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: count)
        bytes.replaceSubrange(..<min(16, count), with: random.bytes(min(16, count)))
        return bytes
    }

    func reserve(_ number: Int, byteCount: Int, prefix: KeyPrefix = prefix) throws(CacheError) -> Reservation
    {
        let key = Self.key(number)
        return try tier.reserve(
            Self.identity(number, prefix: prefix),
            key: unsafe key.span.bytes,
            payloadByteCount: byteCount
        )
    }

    @discardableResult
    func put(
        _ number: Int,
        _ payload: [UInt8],
        prefix: KeyPrefix = prefix,
        expiresIn: UInt64? = nil,
        pinnedUntil: UInt64 = 0,
        replaces: Bool = false,
        isDirty: Bool = false
    ) throws(CacheError) -> CommitOutcome {
        let reservation = try reserve(number, byteCount: payload.count, prefix: prefix)
        unsafe reservation.payload.copyBytes(from: payload)
        let now = clock.unixMilliseconds()
        return tier.commit(
            reservation,
            attributes: BlockAttributes(
                tokenCount: UInt32(number),
                elementType: .bfloat16,
                createdAt: now,
                expiresAt: expiresIn.map { now + $0 } ?? 0,
                pinnedUntil: pinnedUntil
            ),
            payloadChecksum: unsafe payload.withUnsafeBytes { unsafe PayloadChecksum.of($0) },
            replaces: replaces,
            isDirty: isDirty
        )
    }

    /// Puts a clean block and keeps it in the same step.
    func putLeasing(_ number: Int, _ payload: [UInt8]) throws(CacheError) -> BlockLease? {
        let reservation = try reserve(number, byteCount: payload.count, prefix: Self.prefix)
        unsafe reservation.payload.copyBytes(from: payload)
        return tier.commitLeasing(
            reservation,
            attributes: BlockAttributes(
                tokenCount: 0,
                elementType: .bfloat16,
                createdAt: clock.unixMilliseconds(),
                expiresAt: 0,
                pinnedUntil: 0
            ),
            payloadChecksum: unsafe payload.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
        )
    }

    func lease(_ number: Int, key: [UInt8]? = nil, prefix: KeyPrefix = prefix) -> BlockLease? {
        let key = key ?? Self.key(number)
        return tier.lease(Self.identity(number, prefix: prefix), key: unsafe key.span.bytes)
    }

    func holds(_ number: Int) -> Bool { tier.summary(Self.identity(number)) != nil }

    func touch(_ number: Int) {
        if let handle = tier.handle(Self.identity(number)) { tier.touch([handle]) }
    }
}

extension BlockLease {
    var bytes: [UInt8] { unsafe Array(payload) }
}

extension CommitOutcome {
    var handle: BlockHandle? {
        switch self {
        case .stored(let handle), .exists(let handle): handle
        case .conflict: nil
        }
    }

    var isStored: Bool {
        if case .stored = self { true } else { false }
    }
}
