import Blocks
import Testing

@Suite("Tenant")
struct TenantTests {
    @Test("every character of the alphabet is allowed, and 64 of them")
    func alphabet() throws {
        let alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._"
        #expect(try Tenant(alphabet).name == alphabet)
        #expect(try Tenant("-").description == "-")
        #expect(Tenant.default.name == "default")
        #expect(try Tenant("default") == Tenant.default)
        #expect(try Tenant("Default") != Tenant.default)
    }

    @Test(
        "other names are refused",
        arguments: [
            "", "a b", "a/b", "a\n", "a\0", "ä", "а", "a:b", "a*", String(repeating: "a", count: 65),
        ]
    )
    func refused(name: String) {
        let error = #expect(throws: CacheError.self) { try Tenant(name) }
        #expect(error?.code == .invalidArgument)
    }
}
