import Blocks
import Foundation
import MemoryTier
import Synchronization
import TestSupport
import Testing

@Suite("Memory tier under threads")
struct ConcurrencyTests {
    /// What the threads of one run found wrong.
    private final class Findings: Sendable {
        let tornPayloadCount = Atomic<Int>(0)
        let readCount = Atomic<Int>(0)
        let storedCount = Atomic<Int>(0)
        let removedCount = Atomic<Int>(0)
    }

    @Test("bytes under a lease never change while eviction and reuse go on around them")
    func leasedBytesAreStable() throws {
        let findings = Findings()
        let clock = VirtualClock()
        let tier = try MemoryTier(
            MemoryTierConfiguration(byteCount: 16 << 20, blockCountMax: 300, shardCount: 4),
            clock: clock
        ) { _, _, _ in findings.removedCount.add(1, ordering: .relaxed) }
        let threads = (0..<4).map { worker in
            let thread = Thread { Self.work(UInt64(worker), tier, clock, findings) }
            thread.start()
            return thread
        }
        while threads.contains(where: { !$0.isFinished }) { usleep(1_000) }
        #expect(findings.tornPayloadCount.load(ordering: .relaxed) == 0)
        #expect(findings.readCount.load(ordering: .relaxed) > 1_000)
        #expect(findings.storedCount.load(ordering: .relaxed) > 1_000)
        _ = tier.removeAll(prefix: Workbench.prefix, reason: .cleared)
        expectEmpty(tier)
        #expect(
            findings.removedCount.load(ordering: .relaxed) == findings.storedCount.load(ordering: .relaxed)
        )
    }

    private static func work(
        _ worker: UInt64,
        _ tier: MemoryTier,
        _ clock: VirtualClock,
        _ findings: Findings
    ) {
        var random = SeededRandom(seed: worker + 1)
        var leases: [BlockLease] = []
        for step in 0..<12_000 {
            let number = Int.random(in: 0..<400, using: &random)
            let identity = Workbench.identity(number)
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<4: put(number, tier, clock, findings, &random)
            case 4..<8:
                let key = Workbench.key(number)
                if let lease = tier.lease(identity, key: unsafe key.span.bytes) {
                    tier.touch([lease.handle])
                    leases.append(lease)
                    check(lease, findings)
                }
                if leases.count > 8 { leases.remove(at: Int.random(in: leases.indices, using: &random)) }
            case 8:
                for lease in leases { check(lease, findings) }
                if let hold = tier.retain(identity) { tier.release(hold.handle) }
            case 9: _ = tier.remove(identity, reason: .deleted)
            case 10:
                if let handle = tier.handle(identity) { tier.markClean(handle) }
                _ = tier.update(identity) { $0.expiresAt = clock.unixMilliseconds() + 50 }
            default:
                clock.advance(milliseconds: 1)
                _ = tier.sweepExpired(blockCountMax: 64)
                _ = tier.scan(prefix: nil, cursor: UInt64(step % 4) << 32, count: 16) { _, _, _, _ in }
            }
        }
        for lease in leases { check(lease, findings) }
    }

    /// Every 8 bytes of a payload carry one word that only this put used.
    private static func put(
        _ number: Int,
        _ tier: MemoryTier,
        _ clock: VirtualClock,
        _ findings: Findings,
        _ random: inout SeededRandom
    ) {
        let key = Workbench.key(number)
        let byteCount = 8 * Int.random(in: 1...(Bool.random(using: &random) ? 100 : 12_000), using: &random)
        guard
            let reservation = try? tier.reserve(
                Workbench.identity(number),
                key: unsafe key.span.bytes,
                payloadByteCount: byteCount
            )
        else { return }
        let word = random.next()
        unsafe _ = reservation.payload.initializeMemory(as: UInt64.self, repeating: word)
        guard Int.random(in: 0..<8, using: &random) > 0 else { return }
        let outcome = tier.commit(
            reservation,
            attributes: BlockAttributes(createdAt: clock.unixMilliseconds()),
            payloadChecksum: word,
            replaces: Bool.random(using: &random),
            isDirty: Int.random(in: 0..<4, using: &random) == 0
        )
        if outcome.isStored { findings.storedCount.add(1, ordering: .relaxed) }
    }

    private static func check(_ lease: BlockLease, _ findings: Findings) {
        findings.readCount.add(1, ordering: .relaxed)
        // All words are the first one, which only this put used.
        let payload = unsafe lease.payload
        let isWhole = unsafe payload.baseAddress.map { first in
            unsafe first.load(as: UInt64.self) == lease.payloadChecksum
                && memcmp(first, first + 8, payload.count - 8) == 0
        }
        if isWhole != true { findings.tornPayloadCount.add(1, ordering: .relaxed) }
    }
}
