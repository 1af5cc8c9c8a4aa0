import Blocks
import MemoryTier
import TestSupport
import Testing

/// Random operations against a dictionary that knows what must be there.
@Suite("Memory tier against a model")
struct ModelTests {
    private struct Block {
        var payload: [UInt8]
        var expiresAt: UInt64
        var pinnedUntil: UInt64
        var isDirty: Bool
        var handle: BlockHandle
        var byteCount: Int { 192 + (payload.count + 63) / 64 * 64 }
    }

    private struct Run {
        let bench: Workbench
        var random: SeededRandom
        var blocks: [Int: Block] = [:]
        var leases: [(number: Int, lease: BlockLease, payload: [UInt8])] = []
        var holds: [BlockHandle] = []
        var reservations: [Reservation] = []
        var removedCount = 0

        var now: UInt64 { bench.clock.unixMilliseconds() }
        func isReadable(_ block: Block) -> Bool { block.expiresAt == 0 || block.expiresAt > now }
        func readable(_ number: Int) -> Block? { blocks[number].flatMap { isReadable($0) ? $0 : nil } }

        mutating func step() throws {
            let number = Int.random(in: 0..<96, using: &random)
            switch Int.random(in: 0..<24, using: &random) {
            case 0..<7: try put(number)
            case 7..<10: lease(number)
            case 10, 11:
                if !leases.isEmpty { leases.remove(at: Int.random(in: leases.indices, using: &random)) }
            case 12: if let hold = bench.tier.retain(Workbench.identity(number)) { holds.append(hold.handle) }
            case 13: if let handle = holds.popLast() { bench.tier.release(handle) }
            case 14:
                let expected = readable(number)
                let summary = bench.tier.remove(Workbench.identity(number), reason: .deleted)
                #expect(summary?.payloadByteCount == expected?.payload.count)
            case 15: changePinOrEnd(number)
            case 16, 17:
                if let handle = blocks[number]?.handle {
                    bench.tier.markClean(handle)
                    blocks[number]?.isDirty = false
                }
            case 18: bench.touch(number)
            case 19: bench.clock.advance(milliseconds: UInt64.random(in: 0...40, using: &random))
            case 20: _ = bench.tier.sweepExpired(blockCountMax: Int.random(in: 1...64, using: &random))
            case 21: reserveOrAbandon(number)
            case 22: bench.tier.setDirtyEvictable(Bool.random(using: &random))
            default: _ = bench.tier.evict(untilFreeByteCount: Int.random(in: 0...(12 << 20), using: &random))
            }
            applyRemovals()
        }

        private mutating func put(_ number: Int) throws {
            let length =
                Bool.random(using: &random)
                ? Int.random(in: 1...5_000, using: &random) : Int.random(in: 1...(1 << 20), using: &random)
            let seed = Int.random(in: 0..<3, using: &random)
            let old = readable(number)
            let payload =
                Bool.random(using: &random) ? old?.payload ?? [1] : Workbench.bytes(seed, count: length)
            let replaces = Int.random(in: 0..<4, using: &random) == 0
            let isDirty = Int.random(in: 0..<3, using: &random) == 0
            let expiresIn: UInt64? =
                Bool.random(using: &random) ? UInt64.random(in: 1...200, using: &random) : nil
            let pinnedUntil = Int.random(in: 0..<8, using: &random) == 0 ? now + 100 : 0
            let outcome: CommitOutcome
            do {
                outcome = try bench.put(
                    number,
                    payload,
                    expiresIn: expiresIn,
                    pinnedUntil: pinnedUntil,
                    replaces: replaces,
                    isDirty: isDirty
                )
            } catch {
                #expect(error.code == .memoryExhausted || error.code == .overloaded)
                return
            }
            // Making room may have taken the old block.
            applyRemovals()
            switch outcome {
            case .stored(let handle):
                #expect(replaces || blocks[number] == nil)
                blocks[number] = Block(
                    payload: payload,
                    expiresAt: expiresIn.map { now + $0 } ?? 0,
                    pinnedUntil: pinnedUntil,
                    isDirty: isDirty,
                    handle: handle
                )
            case .exists(let handle):
                #expect(blocks[number]?.handle == handle)
                #expect(blocks[number]?.payload == payload)
            case .conflict:
                #expect(!replaces && readable(number) != nil && blocks[number]?.payload != payload)
            }
        }

        private mutating func lease(_ number: Int) {
            let lease = bench.lease(number)
            #expect((lease == nil) == (readable(number) == nil))
            guard let lease, let block = blocks[number] else { return }
            #expect(lease.handle == block.handle)
            #expect(lease.bytes == block.payload)
            leases.append((number, lease, block.payload))
        }

        private mutating func changePinOrEnd(_ number: Int) {
            let pin = Bool.random(using: &random) ? now + 60 : 0
            let end = Bool.random(using: &random) ? now + 90 : 0
            let summary = bench.tier.update(Workbench.identity(number)) {
                $0.pinnedUntil = pin
                $0.expiresAt = end
            }
            #expect((summary == nil) == (readable(number) == nil))
            guard summary != nil else { return }
            blocks[number]?.pinnedUntil = pin
            blocks[number]?.expiresAt = end
        }

        private mutating func reserveOrAbandon(_ number: Int) {
            if reservations.count > 2 {
                reservations.removeAll()
            } else if let reservation = try? bench.reserve(number, byteCount: 100_000) {
                reservations.append(reservation)
            }
        }

        /// Each removal is of a block that was there, and of one that might go.
        private mutating func applyRemovals() {
            for removal in bench.takeRemovals() {
                removedCount += 1
                let number = Int(removal.summary.attributes.tokenCount)
                guard let block = blocks.removeValue(forKey: number) else {
                    Issue.record("block \(number) was removed twice: \(removal.reason)")
                    continue
                }
                #expect(removal.summary.payloadByteCount == block.payload.count)
                switch removal.reason {
                case .evicted:
                    #expect(block.pinnedUntil <= now)
                    #expect(!leases.contains { $0.lease.handle == block.handle })
                    #expect(!holds.contains(block.handle))
                case .expired: #expect(!isReadable(block))
                case .deleted, .replaced, .cleared, .corrupt: break
                }
            }
        }

        func checkFigures() {
            let statistics = bench.tier.statistics()
            #expect(statistics.blockCount == blocks.count)
            #expect(statistics.payloadByteCount == blocks.values.reduce(0) { $0 + $1.payload.count })
            #expect(statistics.blockByteCount == blocks.values.reduce(0) { $0 + $1.byteCount })
            let dirty = blocks.values.filter(\.isDirty)
            #expect(statistics.dirtyBlockCount == dirty.count)
            #expect(statistics.dirtyByteCount == dirty.reduce(0) { $0 + $1.byteCount })
            #expect(statistics.reservationCount == reservations.count)
            #expect(statistics.reservedByteCount == reservations.count * 100_224)
            #expect(
                statistics.usedByteCount
                    == statistics.blockByteCount + statistics.departingByteCount
                    + statistics.reservedByteCount
            )
            let leased = Set(leases.map(\.lease.handle)).union(holds)
            #expect(statistics.leasedBlockCount == leased.count)
            #expect(statistics.departingBlockCount == leased.subtracting(blocks.values.map(\.handle)).count)
            for lease in leases { #expect(lease.lease.bytes == lease.payload) }
        }

        mutating func end() {
            leases = []
            reservations = []
            for handle in holds { bench.tier.release(handle) }
            holds = []
            checkFigures()
            bench.clock.advance(milliseconds: 1_000)
            _ = bench.tier.sweepExpired(blockCountMax: 10_000)
            applyRemovals()
            let pinned = blocks.values.filter { $0.pinnedUntil > now }
            #expect(bench.tier.statistics().pinnedBlockCount == pinned.count)
            #expect(bench.tier.removeAll(prefix: Workbench.prefix, reason: .cleared) == blocks.count)
            applyRemovals()
            expectEmpty(bench.tier)
        }
    }

    @Test("every answer, removal and figure is the model's, and all returns to nothing", arguments: 1...12)
    func randomOperations(seed: UInt64) throws {
        var run = Run(
            bench: try Workbench(blockCountMax: 80, shardCount: 2),
            random: SeededRandom(seed: seed)
        )
        for step in 0..<1_500 {
            try run.step()
            if step % 50 == 0 { run.checkFigures() }
        }
        #expect(run.removedCount > 100)
        run.end()
    }
}
