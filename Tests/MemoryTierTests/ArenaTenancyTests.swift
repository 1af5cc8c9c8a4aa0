import Blocks
import Testing

@testable import MemoryTier

@Suite("Whose blocks the arena holds")
struct ArenaTenancyTests {
    private let a = TenantMark(words: SIMD2(1, 2))
    private let b = TenantMark(words: SIMD2(1, 3))

    private func tenancy(_ occupants: ArenaTenancy.Occupants = .nobody) -> ArenaTenancy {
        ArenaTenancy(occupants) { _ in }
    }

    @Test("it is shared with the only tenant that ever had a block in it, and then no other tenant's enters")
    func shared() {
        let tenancy = tenancy()
        #expect(tenancy.admit(a) && tenancy.admit(a))
        #expect(!tenancy.share(with: b))
        #expect(tenancy.share(with: a) && tenancy.share(with: a) && tenancy.isShared)
        #expect(!tenancy.admit(b))
        #expect(tenancy.admit(a))
        #expect(tenancy.occupants == .one(a))
    }

    @Test("an empty arena is shared with whoever asks first, and is that tenant's from then on")
    func sharedEmpty() {
        let tenancy = tenancy()
        #expect(tenancy.share(with: a))
        #expect(!tenancy.share(with: b) && !tenancy.admit(b))
        #expect(tenancy.admit(a))
    }

    @Test("an arena that has held the blocks of two tenants, or of unknown ones, is never shared")
    func several() {
        let tenancy = tenancy()
        #expect(tenancy.admit(a) && tenancy.admit(b) && tenancy.admit(a))
        #expect(!tenancy.share(with: a) && !tenancy.share(with: b))
        #expect(!self.tenancy(.several).share(with: a))
    }

    @Test("the record is stored before the first block of a tenant enters, and survives in the memory file")
    func recorded() throws {
        let file = try FileBench()
        var bench = try file.open()
        #expect(bench.tier.tenancy.occupants == .nobody)
        try file.reopen(&bench)
        #expect(bench.tier.tenancy.occupants == .nobody)
        #expect(bench.tier.tenancy.admit(a))
        try file.reopen(&bench)
        #expect(bench.tier.tenancy.occupants == .one(a))
        #expect(!bench.tier.tenancy.share(with: b))
        #expect(bench.tier.tenancy.admit(b))
        try file.reopen(&bench)
        #expect(bench.tier.tenancy.occupants == .several)
    }

    @Test("a header says whose blocks the arena holds")
    func header() throws {
        let layout = MemoryFileLayout(arenaByteCount: 16 << 20, blockCountMax: 1_000)
        var header = MemoryFileHeader(layout: layout, secretFingerprint: .zero, owner: "x")
        header.generation = 1
        for occupants in [ArenaTenancy.Occupants.nobody, .one(a), .several] {
            header.occupants = occupants
            let page = header.encoded
            #expect(try MemoryFileHeader.newest(in: page + page).occupants == occupants)
        }
    }
}
