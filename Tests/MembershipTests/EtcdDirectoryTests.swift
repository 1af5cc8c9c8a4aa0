import Blocks
import Placement
import Testing

@testable import Membership

@Suite("etcd directory")
struct EtcdDirectoryTests {
    typealias Record = EtcdDirectory.Record

    let now = MemberDirectory.Instant.now
    let line = "ops:default:read,admin:scrypt$14$8$1$c2FsdA$aGFzaA"

    @Test("members, namespaces and users are told apart by their keys")
    func kinds() throws {
        let description = try NamespaceDescription(json: Array(#"{"model":"m"}"#.utf8))
        var directory = try Self.directory()
        directory.synced(
            [
                try Self.record(of: "a"),
                Record(
                    key: Array("/prod/namespaces/\(description.id)".utf8),
                    value: description.canonicalBytes,
                    revision: 4
                ),
                Record(key: Array("/prod/users/ops".utf8), value: Array(line.utf8), revision: 5),
            ],
            cluster: 1,
            revision: 5,
            at: now
        )
        #expect(directory.members.members.map(\.name.description) == ["a", "own"])
        let news = directory.shared.takeNews()
        #expect(news == [description])
        #expect(directory.shared.users == ["ops": line])
        #expect(directory.skippedCount == 0)
    }

    @Test(
        "what is no record is skipped, counted, and warned of once",
        arguments: [
            ("members/a", "garbage"), ("members/a", ""), ("members/a", "{}"), ("members/a", "[1,2]"),
            ("members/a", String(repeating: "x", count: 5_000)), ("members/a b", "{}"), ("members/a/b", "{}"),
            ("namespaces/12", "{}"), ("namespaces/\(String(repeating: "a", count: 64))", #"{"model":"m"}"#),
            ("users/ops", "ops:default:read"), ("users/ops", "eve:default:read:scrypt$14$8$1$c2FsdA$aGFzaA"),
            ("users/ops", "ops:default:read:scrypt$\nx:y:admin:scrypt$"), ("else/x", "y"), ("", ""),
        ]
    )
    func garbage(key: String, value: String) throws {
        var directory = try Self.directory()
        let record = Record(key: Array("/prod/\(key)".utf8), value: Array(value.utf8), revision: 3)
        for _ in 0..<3 { directory.apply([.put(record)], at: now) }
        #expect(directory.members.members.map(\.name.description) == ["own"])
        #expect(directory.shared.namespaces.isEmpty && directory.shared.users.isEmpty)
        #expect(directory.skippedCount == 3)
        let warnings = directory.takeWarnings()
        #expect(warnings.count == 1)
    }

    @Test("a record says more than we know, and is read all the same; one of another version is not")
    func versions() throws {
        let name = try MemberDirectoryTests.name("a")
        let json = #"""
            {"version":1,"name":"a","host":"h","port":1,"weight":2,"state":"draining","run":"18446744073709551615",
            "zone":{"rack":[1.5,null]}}
            """#
        let member = try #require(MemberRecord.member(name, in: Array(json.utf8)))
        #expect(member.state == .draining)
        #expect(member.run == .max)
        #expect(try MemberRecord.member(name, in: MemberRecord.bytes(of: member)) == member)
        let later = json.replacing(#""version":1"#, with: #""version":2"#)
        #expect(MemberRecord.member(name, in: Array(later.utf8)) == nil)
        #expect(MemberRecord.member(try MemberDirectoryTests.name("b"), in: Array(json.utf8)) == nil)
        for wrong in [#""port":0"#, #""port":70000"#, #""port":-1"#, #""port":1.5"#, #""port":"1""#] {
            #expect(
                MemberRecord.member(name, in: Array(json.replacing(#""port":1"#, with: wrong).utf8)) == nil
            )
        }
    }

    @Test("namespaces that etcd has lost are missing in it, those that somebody took out are not")
    func namespaces() throws {
        let description = try NamespaceDescription(json: Array(#"{"model":"m"}"#.utf8))
        var directory = try Self.directory()
        _ = directory.shared.share(description)
        #expect(directory.shared.missing == [description])
        directory.shared.stored(description.id)
        #expect(directory.shared.missing.isEmpty)
        directory.synced([], cluster: 1, revision: 1, at: now)
        #expect(directory.shared.missing == [description])
        directory.apply([.deleted(key: directory.layout.key(of: description.id), revision: 2)], at: now)
        #expect(directory.shared.missing.isEmpty && directory.shared.namespaces.isEmpty)
        let news = directory.shared.takeNews()
        #expect(news.isEmpty)
    }

    @Test("users go when they are taken out, and stay when etcd has lost its data")
    func users() throws {
        let user = Record(key: Array("/prod/users/ops".utf8), value: Array(line.utf8), revision: 5)
        var directory = try Self.directory()
        directory.synced([user], cluster: 1, revision: 50, at: now)
        directory.synced([], cluster: 1, revision: 3, at: now)
        #expect(directory.shared.users == ["ops": line])
        directory.apply([.put(user)], at: now)
        directory.apply([.deleted(key: user.key, revision: 9)], at: now)
        #expect(directory.shared.users.isEmpty)
        directory.synced([user], cluster: 1, revision: 50, at: now)
        directory.synced([], cluster: 1, revision: 51, at: now)
        #expect(directory.shared.users.isEmpty)
    }

    @Test("a user whose line was spoilt is out")
    func spoiltUser() throws {
        var user = Record(key: Array("/prod/users/ops".utf8), value: Array(line.utf8), revision: 5)
        var directory = try Self.directory()
        directory.apply([.put(user)], at: now)
        #expect(directory.shared.users.count == 1)
        user.value = Array("ops:off".utf8)
        directory.apply([.put(user)], at: now)
        #expect(directory.shared.users.isEmpty)
    }

    @Test("more members than a view has are skipped")
    func tooMany() throws {
        var directory = try Self.directory()
        let records = try (0..<ClusterView.memberCountMax + 3).map { try Self.record(of: "n\($0)") }
        directory.synced(records, cluster: 1, revision: 9, at: now)
        #expect(directory.members.otherCount == ClusterView.memberCountMax)
        #expect(directory.skippedCount == 3)
    }

    @Test(
        "the own record's revision grows only while the record is there, and begins anew when etcd lost its data"
    )
    func recordRevision() throws {
        var directory = try Self.directory()
        let own = directory.members.own
        let key = Array("/prod/members/\(own.name)".utf8)
        let bytes = try MemberRecord.bytes(of: own)
        let another = try Self.record(of: "a").key
        directory.synced([], cluster: 1, revision: 50, at: now)
        #expect(directory.revision == 50 && directory.recordRevision == 0)
        directory.stored(bytes, own, revision: 52)
        #expect(directory.revision == 50 && directory.recordRevision == 52)
        directory.apply([.put(Record(key: key, value: bytes, lease: 1, revision: 52))], at: now)
        directory.apply([.deleted(key: another, revision: 60)], at: now)
        #expect(directory.revision == 60 && directory.recordRevision == 60)
        directory.apply([.deleted(key: key, revision: 61), .deleted(key: another, revision: 62)], at: now)
        #expect(directory.revision == 62 && directory.recordRevision == 60)
        directory.stored(bytes, own, revision: 63)
        #expect(directory.recordRevision == 63)
        directory.synced([], cluster: 2, revision: 1, at: now)
        #expect(directory.revision == 1 && directory.recordRevision == 0)
    }

    static func directory() throws -> EtcdDirectory {
        var members = try MemberDirectoryTests.directory([], at: .now)
        members.heard(at: .now)
        return EtcdDirectory(layout: EtcdLayout(prefix: "/prod"), members: members)
    }

    static func record(of name: String) throws -> Record {
        let member = try MemberDirectoryTests.member(name)
        return Record(
            key: Array("/prod/members/\(name)".utf8),
            value: try MemberRecord.bytes(of: member),
            lease: 1,
            revision: 2
        )
    }
}
