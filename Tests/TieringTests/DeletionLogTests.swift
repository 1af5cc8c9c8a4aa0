import Blocks
import Testing

@testable import Tiering

@Suite("When blocks were deleted")
struct DeletionLogTests {
    private let prefix = KeyPrefix(words: SIMD2(1, 2))
    private let namespace = NamespaceID(ofReservedName: "test")

    private func identity(_ name: String) -> BlockIdentity {
        unsafe BlockIdentity(prefix: prefix, key: Array(name.utf8).span.bytes)
    }

    private func note(_ log: DeletionLog, _ name: String?, _ time: UInt64, now: UInt64 = 0) {
        let record = DeletionRecord(
            tenant: .default,
            namespace: namespace,
            key: name.map { Array($0.utf8) },
            deletedAt: time
        )
        log.note(record, identity: name.map(identity), prefix: prefix, now: now)
    }

    @Test("what was made at or before its deletion is covered, what was made after it is not")
    func covers() {
        let log = DeletionLog(countMax: 10, byteCountMax: 1 << 20, now: 0)
        #expect(!log.covers(identity("a"), createdAt: 0))
        note(log, "a", 100)
        #expect(log.covers(identity("a"), createdAt: 99) && log.covers(identity("a"), createdAt: 100))
        #expect(!log.covers(identity("a"), createdAt: 101))
        #expect(!log.covers(identity("b"), createdAt: 1))
        // An older one that arrives late takes nothing back.
        note(log, "a", 50)
        #expect(log.deletedAt(identity("a")) == 100)
        #expect(log.status.count == 1)
    }

    @Test("a cleared namespace covers every key of it")
    func clear() {
        let log = DeletionLog(countMax: 10, byteCountMax: 1 << 20, now: 0)
        note(log, "a", 10)
        note(log, nil, 100)
        #expect(log.covers(identity("a"), createdAt: 100) && log.covers(identity("never"), createdAt: 100))
        #expect(!log.covers(identity("a"), createdAt: 101))
        note(log, "a", 200)
        #expect(log.covers(identity("a"), createdAt: 150) && !log.covers(identity("b"), createdAt: 150))
    }

    @Test("beyond its bounds the oldest go, and the floor says from when on it is complete")
    func bounds() {
        let log = DeletionLog(countMax: 3, byteCountMax: 1 << 20, now: 5)
        #expect(log.status.floor == 5)
        for (number, name) in ["a", "b", "a", "c", "d"].enumerated() {
            note(log, name, UInt64(100 + number), now: UInt64(1_000 + number))
        }
        #expect(log.status.count == 3)
        #expect(log.status.floor == 1_001)
        // The first deletion of "a" is forgotten, the second is not.
        #expect(log.deletedAt(identity("a")) == 102)
        #expect(log.deletedAt(identity("b")) == nil)
        let large = DeletionLog(countMax: 1_000, byteCountMax: 1_000, now: 0)
        for number in 0..<100 { note(large, "key-\(number)", 1) }
        #expect(large.status.count < 10 && large.status.count > 0)
    }

    @Test("pages tell each deletion since a time once, in order")
    func pages() {
        let log = DeletionLog(countMax: 100, byteCountMax: 1 << 20, now: 0)
        for number in 0..<50 { note(log, "key-\(number)", 7, now: UInt64(number)) }
        var names: [String] = []
        var cursor: UInt64? = 0
        while let from = cursor {
            let (records, next) = log.page(since: 20, cursor: from, countMax: 7)
            names += records.map { String(decoding: $0.key ?? [], as: UTF8.self) }
            cursor = next
        }
        #expect(names == (20..<50).map { "key-\($0)" })
        #expect(log.page(since: 0, cursor: 1_000, countMax: 7).records.isEmpty)
    }
}
