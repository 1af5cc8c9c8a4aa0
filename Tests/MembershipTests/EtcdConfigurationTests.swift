import Blocks
import Foundation
import TestSupport
import Testing

@testable import Membership

@Suite("etcd configuration")
struct EtcdConfigurationTests {
    @Test("an address names servers, prefix and user")
    func address() throws {
        let whole = try EtcdConfiguration(
            url: "etcd://larder:s%40cret@10.0.0.1:2380,[::1]:9,etcd-2/prod/blue/"
        )
        #expect(whole.endpoints.map(\.description) == ["10.0.0.1:2380", "[::1]:9", "etcd-2:2379"])
        #expect(whole.endpoints.map(\.isIPv4) == [true, false, false])
        #expect(whole.endpoints.map(\.isIPv6) == [false, true, false])
        #expect(whole.prefix == "/prod/blue")
        #expect(whole.user?.name == "larder")
        #expect(whole.user?.password == "s@cret")
        #expect(whole.tls == nil)
        #expect(try EtcdConfiguration(url: "etcds://h/p").tls == EtcdTLSFiles())
    }

    @Test(
        "what is no address is refused, and never repeated",
        arguments: [
            "", "http://h/p", "etcd:/h/p", "etcd://h", "etcd:///p", "etcd://h/", "etcd://h:0/p",
            "etcd://h:x/p",
            "etcd://h,,i/p", "etcd://h h/p", "etcd://secret@h/p", "etcd://:secret@h/p", "etcd://u:@h/p",
            "etcd://h/p q", "etcd://h/%zz", "etcd://u:secret@h:99999/p",
            "etcd://\((0..<17).map { "h\($0)" }.joined(separator: ","))/p",
        ]
    )
    func wrongAddress(url: String) {
        let error = #expect(throws: CacheError.self) { try EtcdConfiguration(url: url) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("secret@") == false && error?.message.contains(":secret") == false)
    }

    @Test("the password is in no description of the configuration")
    func secrecy() throws {
        let configuration = try EtcdConfiguration(url: "etcd://larder:hunter2@h:1/p")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in [dumped, String(describing: configuration), String(reflecting: configuration)] {
            #expect(!text.contains("hunter2"))
        }
        #expect(configuration.source == "etcd://h:1/p")
    }

    @Test("a password may come from a file, but not from both")
    func passwordFile() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/password"
        try "first line\nsecond\n".write(toFile: path, atomically: true, encoding: .utf8)
        let configuration = try EtcdConfiguration(url: "etcd://larder@h/p", passwordFile: path)
        #expect(configuration.user?.password == "first line")
        for url in ["etcd://larder:x@h/p", "etcd://h/p"] {
            #expect(throws: CacheError.self) { try EtcdConfiguration(url: url, passwordFile: path) }
        }
        #expect(throws: CacheError.self) {
            try EtcdConfiguration(url: "etcd://larder@h/p", passwordFile: "\(directory.path)/none")
        }
    }

    @Test("certificates need their keys, files that can be read, and an address with TLS")
    func certificates() throws {
        #expect(throws: CacheError.self) { try EtcdTLSFiles(certificate: "/dev/null") }
        #expect(throws: CacheError.self) { try EtcdTLSFiles(authorities: "/nowhere/ca.pem") }
        let files = try EtcdTLSFiles(authorities: "/dev/null")
        #expect(throws: CacheError.self) { try EtcdConfiguration(url: "etcd://h/p", tls: files) }
        #expect(try EtcdConfiguration(url: "etcds://h/p", tls: files).tls == files)
    }

    @Test("a time to live is whole seconds within its limits")
    func timeToLive() throws {
        for wrong in [Duration.seconds(1), .seconds(3_601), .milliseconds(2_500), .seconds(-5)] {
            #expect(throws: CacheError.self) { try EtcdConfiguration(url: "etcd://h/p", memberTTL: wrong) }
        }
        let configuration = try EtcdConfiguration(url: "etcd://h/p", memberTTL: .seconds(30))
        #expect(configuration.beat == .seconds(2))
        #expect(configuration.graceTime == .seconds(30))
    }

    @Test("only keys under the prefix mean something")
    func layout() throws {
        let layout = EtcdLayout(prefix: "/prod")
        let name = try MemberDirectoryTests.name("a")
        #expect(layout.subject(of: layout.key(of: name)) == .member(name))
        for key in ["/prod", "/prod/", "/prod2/members/a", "members/a", "/prod/members/", "/prod/members/a/"]
        {
            #expect(layout.subject(of: Array(key.utf8)) == nil)
        }
        #expect(layout.subject(of: [0x2F, 0xFF, 0xFE]) == nil)
        #expect(layout.range.first == Array("/prod/".utf8) && layout.range.end == Array("/prod0".utf8))
    }
}
