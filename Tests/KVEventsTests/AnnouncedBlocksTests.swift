import Blocks
import KVEvents
import TestSupport
import Testing

/// What a router knows after some events: the mediums of each hash.
struct RouterView {
    private(set) var mediums: [EventHash: EventMediums] = [:]
    /// Events that say what was known already, or take back what was not.
    private(set) var contradictions = 0

    mutating func apply(_ events: [KVEvent]) {
        for event in events {
            switch event {
            case .allCleared: mediums = [:]
            case .stored(let stored):
                for hash in stored.hashes {
                    if mediums[hash]?.contains(stored.medium) == true { contradictions += 1 }
                    mediums[hash, default: []].insert(stored.medium)
                }
            case .removed(let removed):
                for hash in removed.hashes {
                    if mediums[hash]?.contains(removed.medium) != true { contradictions += 1 }
                    mediums[hash]?.remove(removed.medium)
                    if mediums[hash]?.isEmpty == true { mediums[hash] = nil }
                }
            }
        }
    }
}

@Suite("What is announced is brought to what is true")
struct AnnouncedBlocksTests {
    private static let prefix = KeyPrefix(words: SIMD2(1, 2))

    private static func identity(_ key: [UInt8]) -> BlockIdentity {
        // The view of an array's bytes is only called unsafe for element types with invalid patterns.
        unsafe BlockIdentity(prefix: prefix, key: key.span.bytes)
    }

    private static func key(_ number: Int) -> [UInt8] { [UInt8](repeating: UInt8(number), count: 32) }

    @Test("blocks of one chain become one event, with the chain's parent")
    func chain() {
        var blocks = AnnouncedBlocks(prefix: Self.prefix)
        var collector = EventCollector()
        for number in 1..<5 {
            let key = Self.key(number)
            blocks.announce(
                Self.identity(key),
                key: key,
                after: Self.key(number - 1),
                on: .memory,
                tokenCount: 16,
                into: &collector
            )
        }
        let hashes = (1..<5).map { EventHash(Self.key($0)) }
        let parent = EventHash(Self.key(0))
        #expect(
            collector.take() == [
                .stored(.init(hashes: hashes, parent: parent, tokenCount: 16, medium: .memory, group: nil))
            ]
        )
        // On their way to the disk they are a chain again; the first block's parent is not held itself.
        for number in 1..<5 {
            let identity = Self.identity(Self.key(number))
            blocks.settle(identity, on: [.memory, .disk], tokenCount: 16, into: &collector)
        }
        #expect(
            collector.take() == [
                .stored(.init(hashes: hashes, parent: nil, tokenCount: 16, medium: .disk, group: nil))
            ]
        )
        for number in 1..<5 {
            blocks.settle(Self.identity(Self.key(number)), on: .disk, tokenCount: 16, into: &collector)
        }
        #expect(collector.take() == [.removed(.init(hashes: hashes, medium: .memory, group: nil))])
        #expect(blocks.count == 4)
        for number in 1..<5 {
            blocks.settle(Self.identity(Self.key(number)), on: [], tokenCount: 0, into: &collector)
        }
        #expect(collector.take() == [.removed(.init(hashes: hashes, medium: .disk, group: nil))])
        #expect(blocks.count == 0)
    }

    @Test("keys of another group are no parents, and other groups are events of their own")
    func groups() {
        var blocks = AnnouncedBlocks(prefix: Self.prefix)
        var collector = EventCollector()
        let first = Self.key(1) + [0, 0, 0, 0]
        let second = Self.key(2) + [0, 0, 0, 1]
        for (key, predecessor) in [(first, [UInt8]?.none), (second, first)] {
            blocks.announce(
                Self.identity(key),
                key: key,
                after: predecessor,
                on: .memory,
                tokenCount: 16,
                into: &collector
            )
        }
        let hashes = [1, 2].map { EventHash(Self.key($0)) }
        #expect(
            collector.take() == [
                .stored(.init(hashes: [hashes[0]], parent: nil, tokenCount: 16, medium: .memory, group: 0)),
                .stored(.init(hashes: [hashes[1]], parent: nil, tokenCount: 16, medium: .memory, group: 1)),
            ]
        )
    }

    @Test("stores and removals by turns become two events, but never across the same block")
    func joining() {
        var collector = EventCollector()
        func block(_ number: Int) -> EventBlock { EventBlock(key: Self.key(number)) }
        func hash(_ number: Int) -> EventHash { block(number).hash }
        collector.store(block(1), parent: nil, tokenCount: 16, on: .memory)
        collector.remove(block(11), from: .memory)
        collector.store(block(2), parent: hash(1), tokenCount: 16, on: .memory)
        collector.remove(block(12), from: .memory)
        #expect(collector.events.count == 2)
        collector.remove(block(1), from: .memory)
        collector.store(block(3), parent: hash(2), tokenCount: 16, on: .memory)
        let events = collector.take()
        #expect(events.count == 4)
        var view = RouterView()
        view.apply(events)
        #expect(Set(view.mediums.keys) == [hash(2), hash(3)])
    }

    @Test("whatever comes and goes, a router ends with the truth", arguments: 0..<8)
    func random(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var blocks = AnnouncedBlocks(prefix: Self.prefix)
        var collector = EventCollector()
        var truth: [Int: EventMediums] = [:]
        var view = RouterView()
        for step in 0..<4_000 {
            let number = Int.random(in: 0..<40, using: &random)
            let identity = Self.identity(Self.key(number))
            truth[number] = EventMediums(rawValue: UInt8.random(in: 0..<4, using: &random))
            // Some changes are noted late, some twice, some by a sweep only.
            guard Int.random(in: 0..<3, using: &random) > 0 || step >= 3_960 else { continue }
            let looked = step >= 3_960 ? step - 3_960 : number
            let now = truth[looked] ?? []
            let key = Self.key(looked)
            if blocks.contains(Self.identity(key)) {
                blocks.settle(Self.identity(key), on: now, tokenCount: 16, into: &collector)
            } else {
                blocks.announce(
                    Self.identity(key),
                    key: key,
                    after: looked > 0 ? Self.key(looked - 1) : nil,
                    on: now,
                    tokenCount: 16,
                    into: &collector
                )
            }
            _ = identity
            if step.isMultiple(of: 7) { view.apply(collector.take()) }
        }
        for number in 0..<40 {
            let key = Self.key(number)
            let now = truth[number] ?? []
            blocks.settle(Self.identity(key), on: now, tokenCount: 16, into: &collector)
            blocks.announce(
                Self.identity(key),
                key: key,
                after: nil,
                on: now,
                tokenCount: 16,
                into: &collector
            )
        }
        view.apply(collector.take())
        let expected = truth.filter { !$0.value.isEmpty }
        #expect(
            view.mediums == Dictionary(uniqueKeysWithValues: expected.map { (EventHash(Self.key($0)), $1) })
        )
        #expect(blocks.count == expected.count)
        #expect(view.contradictions == 0)
        let listed = (0..<AnnouncedBlocks.partCount).flatMap { blocks.identities(inPart: $0) }
        #expect(Set(listed) == Set(expected.keys.map { Self.identity(Self.key($0)) }))
    }
}

@Suite("The ring keeps the last messages")
struct ReplayRingTests {
    @Test("within a number of messages")
    func counted() {
        var ring = ReplayRing<Int>(countMax: 3, byteCountMax: 1_000)
        #expect(ring.firstSequence == 0 && ring[0] == nil)
        for number in 0..<10 { ring.append(number, byteCount: 10) }
        #expect(ring.nextSequence == 10 && ring.firstSequence == 7 && ring.byteCount == 30)
        #expect((6...10).map { ring[$0] } == [nil, 7, 8, 9, nil])
    }

    @Test("and of bytes; what is too large is numbered and not kept")
    func bounded() {
        var ring = ReplayRing<Int>(countMax: 100, byteCountMax: 100)
        for number in 0..<10 { ring.append(number, byteCount: 30) }
        #expect(ring.count == 3 && ring.firstSequence == 7 && ring.byteCount == 90)
        ring.append(10, byteCount: 101)
        #expect(ring.count == 0 && ring.nextSequence == 11 && ring.byteCount == 0)
        ring.append(11, byteCount: 100)
        #expect(ring[11] == 11 && ring[10] == nil)
    }
}
