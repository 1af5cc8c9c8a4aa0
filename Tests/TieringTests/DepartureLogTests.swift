import Blocks
import Testing

@testable import Tiering

@Suite("Why blocks left")
struct DepartureLogTests {
    private let prefix = KeyPrefix(words: SIMD2(3, 4))

    private func identity(_ number: Int) -> BlockIdentity {
        unsafe BlockIdentity(prefix: prefix, key: Array("block \(number)".utf8).span.bytes)
    }

    @Test("evictions are explained long after the exact log has forgotten them")
    func oldEvictions() {
        let log = DepartureLog(countMax: 64)
        for number in 0..<20_000 { log.record(identity(number), .evicted) }
        #expect((0..<20_000).allSatisfy { log.reason(identity($0)) == .evicted })
        let mistaken = (20_000..<40_000).count { log.reason(identity($0)) != .neverSeen }
        #expect(mistaken < 200)
        #expect(log.filterByteCount == 2 << 20)
    }

    @Test("an exact departure is answered before an older eviction of the same block")
    func exactFirst() {
        let log = DepartureLog(countMax: 4)
        log.record(identity(0), .evicted)
        for number in 1..<10 { log.record(identity(number), .expired) }
        #expect(log.reason(identity(0)) == .evicted)
        log.record(identity(0), .deleted)
        #expect(log.reason(identity(0)) == .deleted)
        #expect(log.reason(identity(1)) == .neverSeen)
    }

    @Test(
        "the filters stay bounded: the oldest evictions are forgotten, the newest found, few others mistaken"
    )
    func bounded() {
        var filters = EvictionFilters(filterCount: 4, blockCountPerFilter: 1_024)
        for number in 0..<50_000 { filters.add(identity(number)) }
        #expect(filters.byteCount == 4 * 2_048)
        #expect((47_000..<50_000).allSatisfy { filters.contains(identity($0)) })
        #expect((0..<40_000).count { filters.contains(identity($0)) } < 400)
    }
}
