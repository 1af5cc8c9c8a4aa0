import Blocks
import Testing

@Suite("Key prefix")
struct KeyPrefixTests {
    @Test("the prefix is the beginning of the documented HMAC-SHA-256")
    func value() throws {
        // HMAC-SHA-256(00 01 ... 1f, "larder key prefix 1" 00 06 "team-a" 40 41 ... 5f), by Python's hmac.
        let prefix = KeyPrefix(
            secret: try NodeSecret(bytes: Array(0..<32)),
            tenant: try Tenant("team-a"),
            namespace: try namespace(from: 0x40)
        )
        #expect(prefix.words == SIMD2(0x682f_6d4a_9f70_d0a3, 0x0529_b231_d25e_97a4))
    }

    @Test("another tenant, namespace or secret has another prefix")
    func separation() throws {
        let secrets = try [NodeSecret(bytes: Array(0..<32)), NodeSecret(bytes: Array(1..<33))]
        let tenants = try ["a", "A", "a.", "ab", "default"].map { name in try Tenant(name) }
        let namespaces = try [namespace(from: 0), namespace(from: 1), namespace(from: 0x61)]
        var prefixes: Set<KeyPrefix> = []
        for secret in secrets {
            for tenant in tenants {
                for namespace in namespaces {
                    prefixes.insert(KeyPrefix(secret: secret, tenant: tenant, namespace: namespace))
                }
            }
        }
        #expect(prefixes.count == 2 * 5 * 3)
    }

    @Test("a byte moved from the namespace to the tenant's name makes another prefix")
    func injectivity() throws {
        let secret = try NodeSecret(bytes: Array(0..<32))
        let letters = [UInt8](repeating: UInt8(ascii: "x"), count: 32)
        let namespace = try #require(NamespaceID(bytes: letters))
        let prefixes = try (1...64).map { count in
            KeyPrefix(
                secret: secret,
                tenant: try Tenant(String(repeating: "x", count: count)),
                namespace: namespace
            )
        }
        #expect(Set(prefixes).count == 64)
    }

    private func namespace(from first: UInt8) throws -> NamespaceID {
        try #require(NamespaceID(bytes: (0..<32).map { first + $0 }))
    }
}
