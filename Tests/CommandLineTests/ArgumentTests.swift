import Blocks
import Testing

@testable import larder

@Suite("keys, namespaces, users and figures")
struct ArgumentTests {
    @Test("a key is text or hexadecimal digits, and is shown so that it reads back")
    func keys() {
        #expect(BlockKeyArgument(argument: "first")?.key.bytes == Array("first".utf8))
        #expect(BlockKeyArgument(argument: "hex:00Ff")?.key.bytes == [0, 0xff])
        for text in ["first", "hex:00ff", "hex:6865783a30"] {
            #expect(BlockKeyArgument(argument: text)?.text == text)
        }
    }

    @Test(
        "what is no key is refused",
        arguments: ["", "hex:", "hex:0", "hex:zz", String(repeating: "x", count: 513)]
    )
    func noKey(text: String) {
        #expect(BlockKeyArgument(argument: text) == nil)
    }

    @Test("keys are sent in batches that a node takes")
    func batches() throws {
        let keys = try (0..<16_385).map { try #require(BlockKeyArgument(argument: "k\($0)")) }
        #expect(keys.batches.map(\.count) == [16_384, 1])
        #expect(keys.batches[1].bytes(at: 0) == Array("k16384".utf8))
    }

    @Test("a namespace is an identifier, a description or a file")
    func namespaces() {
        let digits = String(repeating: "ab", count: 32)
        #expect(NamespaceArgument(argument: digits) == NamespaceID(hexadecimal: digits.utf8).map { .id($0) })
        #expect(NamespaceArgument(argument: " {\"model\":\"m\"}") == .description(" {\"model\":\"m\"}"))
        #expect(NamespaceArgument(argument: "@n.json") == .file("n.json"))
        #expect(NamespaceArgument(argument: "llama") == nil)
    }

    @Test("a user is added at the end, and changed only when asked to")
    func users() throws {
        let line = UserLine(
            name: "bob",
            tenant: try Tenant("t"),
            scopes: ["read", "write"],
            passwordHash: "scrypt$x"
        )
        let file = try line.added(to: "", replaces: false)
        #expect(file == "# name:tenant:scopes:password-hash\nbob:t:read,write:scrypt$x\n")
        let grown = try line.added(to: "bobby:t:read:h\n\n", replaces: false)
        #expect(grown == "bobby:t:read:h\nbob:t:read,write:scrypt$x\n")
        #expect(throws: CommandFailure.self) { try line.added(to: file, replaces: false) }
        let changed = try line.added(to: "a:t:read:h\nbob:old:read:h\nc:t:read:h\n", replaces: true)
        #expect(changed == "a:t:read:h\nbob:t:read,write:scrypt$x\nc:t:read:h\n")
    }

    @Test("a password is a file's first line, and an empty one is none")
    func passwords() throws {
        let directory = try ScratchDirectory()
        let path = try directory.write("secret words\r\nmore\n", to: "password")
        #expect(try PasswordFile.password(at: path) == Array("secret words".utf8))
        let empty = try directory.write("\n", to: "empty")
        #expect(throws: CommandFailure.self) { try PasswordFile.password(at: empty) }
    }

    @Test("figures are shown by name, bytes as people read them, and exactly in JSON")
    func figures() {
        let figures = Figures(["used_bytes": "1048576", "hits": "1200", "ratio": "1.5", "state": "on"])
        #expect(
            figures.report.render(.table) == """
                NAME          VALUE
                hits          1,200
                ratio         1.500
                state            on
                used_bytes  1.0 MiB
                """
        )
        #expect(figures.json.compact == #"{"hits":1200,"ratio":1.5,"state":"on","used_bytes":1048576}"#)
    }

    @Test("a watch shows how fast figures change")
    func rates() {
        let then = Figures(["hits": "1000", "used_bytes": "0", "state": "on"])
        let now = Figures(["hits": "1500", "used_bytes": "2097152", "state": "on"])
        #expect(
            now.report(earlier: (then, 2)).render(.table) == """
                NAME          VALUE  PER SECOND
                hits          1,500         250
                state            on
                used_bytes  2.0 MiB     1.0 MiB
                """
        )
    }
}
