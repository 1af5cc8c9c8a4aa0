import Blocks
import Testing

@Suite("Node secret")
struct NodeSecretTests {
    @Test("a secret has exactly 32 bytes and gives them back", arguments: [0, 31, 32, 33])
    func length(byteCount: Int) throws {
        let bytes = [UInt8](repeating: 0xA7, count: byteCount)
        guard byteCount == NodeSecret.byteCount else {
            #expect(throws: CacheError.self) { try NodeSecret(bytes: bytes) }
            return
        }
        #expect(try NodeSecret(bytes: bytes).bytes == bytes)
    }

    @Test("random secrets have 32 bytes and differ")
    func random() {
        let secret = NodeSecret.random()
        #expect(secret.bytes.count == 32)
        #expect(secret.bytes != NodeSecret.random().bytes)
    }

    @Test("no way of printing a secret shows it")
    func printing() throws {
        struct Owner {
            let secret: NodeSecret
            let other: [NodeSecret]
        }
        let secret = try NodeSecret(bytes: [UInt8](repeating: 0xA7, count: 32))
        var dumped = ""
        dump(Owner(secret: secret, other: [secret]), to: &dumped)
        dump(secret, to: &dumped)
        let texts = [
            "\(secret)", String(reflecting: secret), "\([secret])",
            "\(Owner(secret: secret, other: [secret]))", dumped,
        ]
        for text in texts {
            #expect(text.contains("NodeSecret(redacted)"))
            for trace in ["167", "a7", "A7", "SymmetricKey"] { #expect(!text.contains(trace)) }
        }
        #expect(Mirror(reflecting: secret).children.isEmpty)
    }
}
