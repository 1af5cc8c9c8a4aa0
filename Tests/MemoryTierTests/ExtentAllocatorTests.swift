import MemoryTier
import TestSupport
import Testing

@Suite("Extent allocator")
struct ExtentAllocatorTests {
    /// What any allocator does: held extents by address.
    private struct Model {
        var held: [Extent] = []
        var heldGranuleCount = 0

        mutating func add(_ extent: Extent) {
            heldGranuleCount += extent.granuleCount
            held.append(extent)
        }

        mutating func removeRandom(_ random: inout SeededRandom) -> Extent? {
            guard !held.isEmpty else { return nil }
            held.swapAt(Int.random(in: held.indices, using: &random), held.count - 1)
            let extent = held.removeLast()
            heldGranuleCount -= extent.granuleCount
            return extent
        }

        /// Free runs between the held extents; `nil` when two held ones overlap or one passes the end.
        func freeRuns(of total: Int) -> [Int]? {
            var runs: [Int] = []
            var end = 0
            for extent in held.sorted(by: { $0.firstGranule < $1.firstGranule }) {
                guard extent.firstGranule >= end else { return nil }
                if extent.firstGranule > end { runs.append(extent.firstGranule - end) }
                end = extent.firstGranule + extent.granuleCount
            }
            guard end <= total else { return nil }
            if end < total { runs.append(total - end) }
            return runs
        }
    }

    @Test("random sizes never overlap, free space is exact, and all joins again", arguments: 1...8)
    func fuzz(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let total = [1 << 12, 1 << 15, 1_000_003, 1 << 34][Int(seed) % 4]
        var allocator = ExtentAllocator(granuleCount: total, extentCountMax: 1 << 12)
        var model = Model()
        for step in 0..<20_000 {
            let isFilling = (step / 2_500) % 2 == 0
            if Int.random(in: 0..<3, using: &random) < (isFilling ? 2 : 1) {
                let wanted = size(upTo: total, &random)
                if let extent = allocator.allocate(granuleCount: wanted) {
                    #expect(extent.granuleCount == wanted)
                    model.add(extent)
                } else if step % 16 == 0 {
                    // The next class up always fits, so only runs of nearly the wanted size may be overlooked.
                    let runs = try #require(model.freeRuns(of: total))
                    #expect(runs.allSatisfy { $0 < wanted + max(1, wanted / 16) })
                }
            } else if let extent = model.removeRandom(&random) {
                allocator.free(extent.node)
            }
            if step % 256 == 0 {
                let runs = try #require(model.freeRuns(of: total))
                #expect(runs.reduce(0, +) == allocator.freeGranuleCount)
                #expect(allocator.largestFreeGranuleCount <= runs.max() ?? 0)
                #expect(allocator.largestFreeGranuleCount >= (runs.max() ?? 0) * 31 / 32)
            }
            #expect(allocator.freeGranuleCount == total - model.heldGranuleCount)
            #expect(allocator.extentCount == model.held.count)
        }
        while let extent = model.removeRandom(&random) { allocator.free(extent.node) }
        #expect(allocator.largestFreeGranuleCount == total)
        let everything = try allocate(total, &allocator)
        #expect(everything.firstGranule == 0)
        #expect(allocator.freeGranuleCount == 0)
        let none = allocator.allocate(granuleCount: 1)
        #expect(none == nil)
    }

    @Test(
        "taken up from its held extents, an allocator goes on where the other ended; and it grows",
        arguments: 1...8
    )
    func takenUp(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var total = 20_000
        var allocator = ExtentAllocator(granuleCount: total, extentCountMax: 1 << 12)
        var model = Model()
        for step in 0..<30_000 {
            if Int.random(in: 0..<5, using: &random) < 3 {
                let wanted = Int.random(in: 1...300, using: &random)
                if let extent = allocator.allocate(granuleCount: wanted) { model.add(extent) }
            } else if let extent = model.removeRandom(&random) {
                allocator.free(extent.node)
            }
            if step % 1_000 == 999 {
                let held = model.held.sorted { $0.firstGranule < $1.firstGranule }
                // One in three is lost, as blocks are whose time is over.
                let lost = Set(held.filter { _ in step % 3_000 == 999 && Bool.random(using: &random) })
                allocator = ExtentAllocator(
                    granuleCount: total,
                    extentCountMax: 1 << 12,
                    held: held.filter { !lost.contains($0) }
                )
                model = Model()
                for extent in held where !lost.contains(extent) { model.add(extent) }
            }
            if step % 2_500 == 0 {
                total += Int.random(in: 1...900, using: &random)
                allocator.grow(to: total)
            }
            #expect(allocator.freeGranuleCount == total - model.heldGranuleCount)
            #expect(allocator.extentCount == model.held.count)
            if step % 250 == 0 {
                let runs = try #require(model.freeRuns(of: total))
                #expect(runs.reduce(0, +) == allocator.freeGranuleCount)
                #expect(allocator.largestFreeGranuleCount <= runs.max() ?? 0)
                #expect(allocator.largestFreeGranuleCount >= (runs.max() ?? 0) * 31 / 32)
            }
        }
        while let extent = model.removeRandom(&random) { allocator.free(extent.node) }
        let everything = try allocate(total, &allocator)
        #expect(everything.firstGranule == 0)
        #expect(allocator.freeGranuleCount == 0)
    }

    @Test("in an arena full of one size, each freed extent serves the next block of that size")
    func oneSize() throws {
        // 2 MiB and a header: not the lower bound of its size class.
        let wanted = (2 << 20) / 64 + 3
        var allocator = ExtentAllocator(granuleCount: wanted * 64, extentCountMax: 64)
        var extents: [Extent] = []
        while let extent = allocator.allocate(granuleCount: wanted) { extents.append(extent) }
        #expect(extents.count == 64)
        for index in stride(from: 0, to: 64, by: 2) { allocator.free(extents[index].node) }
        for _ in 0..<32 { _ = try allocate(wanted, &allocator) }
        #expect(allocator.freeGranuleCount == 0)
    }

    @Test("a fresh arena is filled from low addresses on")
    func lowAddressesFirst() throws {
        var allocator = ExtentAllocator(granuleCount: 1 << 20, extentCountMax: 1_000)
        var random = SeededRandom(seed: 3)
        var end = 0
        for _ in 0..<1_000 {
            let extent = try allocate(Int.random(in: 1...500, using: &random), &allocator)
            #expect(extent.firstGranule == end)
            end += extent.granuleCount
        }
    }

    @Test("records are recycled: their number is bounded by the extents held at once, not by time")
    func recordsAreRecycled() throws {
        var allocator = ExtentAllocator(granuleCount: 1 << 20, extentCountMax: 1_000)
        var random = SeededRandom(seed: 4)
        var model = Model()
        for _ in 0..<100_000 {
            let wanted = Int.random(in: 1...900, using: &random)
            if model.held.count < 500, let extent = allocator.allocate(granuleCount: wanted) {
                model.add(extent)
            } else if let extent = model.removeRandom(&random) {
                allocator.free(extent.node)
            }
        }
        #expect(allocator.nodeCount <= 1_001)
    }

    @Test("a region is contiguous, long enough, without reservations, and the search goes round")
    func regions() throws {
        var allocator = ExtentAllocator(granuleCount: 1_000, extentCountMax: 10)
        let extents = try (0..<10).map { _ in try allocate(100, &allocator) }
        for (slot, extent) in extents.enumerated() where slot != 3 {
            allocator.setOwner(UInt32(slot), of: extent.node)
        }
        allocator.free(extents[5].node)
        // The search begins at the last hole made.
        let first = region(300, &allocator)
        #expect(first.map(\.slot) == [6, 7])
        allocator.passOver(first[0])
        let second = region(300, &allocator)
        #expect(second.map(\.slot) == [7, 8, 9])
        allocator.passOver(second[1])
        let third = region(300, &allocator)
        #expect(third.map(\.slot) == [0, 1, 2])
        allocator.passOver(third[1])
        #expect(region(300, &allocator).map(\.slot) == [4, 6])
        #expect(region(600, &allocator).map(\.slot) == [4, 6, 7, 8, 9])
        #expect(region(700, &allocator).isEmpty)
    }

    private func allocate(_ granuleCount: Int, _ allocator: inout ExtentAllocator) throws -> Extent {
        let extent = allocator.allocate(granuleCount: granuleCount)
        return try #require(extent)
    }

    private func region(_ granuleCount: Int, _ allocator: inout ExtentAllocator) -> [ExtentAllocator.Holder] {
        allocator.region(granuleCount: granuleCount, nodeCountMax: 100) ?? []
    }

    private func size(upTo total: Int, _ random: inout SeededRandom) -> Int {
        switch Int.random(in: 0..<10, using: &random) {
        case 0: Int.random(in: 1...31, using: &random)
        case 1: 1 << Int.random(in: 0...8, using: &random)
        case 2: Int.random(in: 1...max(1, total / 8), using: &random)
        default: Int.random(in: 1...max(1, total / 512), using: &random)
        }
    }
}
