import Blocks
import DiskTier
import Foundation
import MemoryTier
import TestSupport
import Tiering

/// A store over real tiers in a fresh directory, and the few calls that tests make of it.
struct StoreFixture {
    static let mebibyte = 1 << 20

    let directory: TemporaryDirectory
    let clock: any CacheClock
    let secret: NodeSecret
    let memoryByteCount: Int
    let diskByteCount: Int
    let configuration: StoreConfiguration

    init(
        memoryMebibytes: Int = 32,
        diskMebibytes: Int = 0,
        clock: any CacheClock = SystemClock(),
        configuration: StoreConfiguration = StoreConfiguration()
    ) throws {
        directory = try TemporaryDirectory()
        secret = try NodeSecret(bytes: Array(0..<32))
        self.clock = clock
        memoryByteCount = memoryMebibytes * Self.mebibyte
        diskByteCount = diskMebibytes * Self.mebibyte
        self.configuration = configuration
    }

    func open(_ memoryFile: MemoryFileConfiguration? = nil) throws -> BlockStore {
        var memory = MemoryTierConfiguration(
            byteCount: memoryByteCount,
            blockCountMax: 65_536,
            prefaults: false
        )
        memory.file = memoryFile
        return try BlockStore(
            memory: memory,
            disk: diskByteCount == 0
                ? nil : DiskTierConfiguration(directory: directory.path, byteCountMax: diskByteCount),
            secret: secret,
            directory: directory.path,
            configuration: configuration,
            clock: clock
        )
    }
}

/// Bytes that depend only on a key's number, so that any reader can verify them. Incompressible.
func content(_ number: Int, byteCount: Int) -> [UInt8] {
    // A window of one random pool, stamped with the number: fast enough for debug builds.
    let start = Int(UInt(bitPattern: number &* 0x9e37_79b9) % 1_000_003)
    var bytes = Array(randomPool[start..<(start + byteCount)])
    for index in 0..<min(8, byteCount) { bytes[index] ^= UInt8(truncatingIfNeeded: number >> (8 * index)) }
    return bytes
}

private let randomPool: [UInt8] = {
    var random = SeededRandom(seed: 7)
    return random.bytes(6 << 20)
}()

func name(_ number: Int) throws -> BlockKey { try BlockKey(Array("block-\(number)".utf8)) }

func batch(_ numbers: some Sequence<Int>) throws -> KeyBatch {
    var keys = KeyBatch()
    for number in numbers {
        let key = try name(number)
        keys.append(key.span)
    }
    return keys
}

extension BlockStore {
    func put(
        _ space: KeySpace,
        _ number: Int,
        _ bytes: [UInt8],
        _ change: (inout PutOptions) -> Void = { _ in }
    ) throws -> PutResult {
        var options = PutOptions()
        change(&options)
        let key = try name(number)
        let reservation: Reservation
        do {
            reservation = try reserve(space, key: key.span, payloadByteCount: bytes.count)
        } catch {
            return PutResult(refused: error)
        }
        // SAFETY: the reservation owns exactly as many bytes as the array has.
        unsafe reservation.payload.copyBytes(from: bytes)
        return commit(reservation, in: space, options)
    }

    /// Puts, waiting for space when the store asks for it.
    func putPatiently(_ space: KeySpace, _ number: Int, _ bytes: [UInt8]) async throws -> PutOutcome {
        for _ in 0..<1_000 {
            let outcome = try put(space, number, bytes).outcome
            guard case .refused(let error) = outcome,
                error.code == .overloaded || error.code == .memoryExhausted
            else {
                return outcome
            }
            await withCheckedContinuation { continuation in
                whenSpaceFrees { continuation.resume() }
            }
        }
        return try put(space, number, bytes).outcome
    }

    func get(_ space: KeySpace, _ numbers: some Sequence<Int>) async throws -> [[UInt8]?] {
        let keys = try batch(numbers)
        return await withCheckedContinuation { continuation in
            load(space, keys: keys) { leases in
                continuation.resume(returning: leases.map { lease in lease.map { unsafe Array($0.payload) } })
            }
        }
    }

    func durable(_ ticket: DurabilityTicket) async -> CacheError? {
        await withCheckedContinuation { continuation in
            whenDurable(ticket) { continuation.resume(returning: $0) }
        }
    }

    func isInMemory(_ space: KeySpace, _ number: Int) throws -> Bool {
        let key = try name(number)
        if case .memory = lookup(space, key: key.span) { return true }
        return false
    }

    func expires(_ space: KeySpace, _ number: Int, at unixMilliseconds: UInt64) throws -> Bool {
        let key = try name(number)
        return expire(space, key: key.span, at: unixMilliseconds)
    }

    func why(_ space: KeySpace, _ number: Int) throws -> Explanation {
        let key = try name(number)
        return explain(space, key: key.span)
    }

    func holds(_ space: KeySpace, _ number: Int, leasing: Bool = false) throws -> Bool {
        let key = try name(number)
        return exists(space, key: key.span, takesLease: leasing)
    }
}
