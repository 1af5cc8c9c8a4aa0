import Placement
import TestSupport
import Testing

@testable import Membership

@Suite("Member directory")
struct MemberDirectoryTests {
    typealias Instant = MemberDirectory.Instant

    let begin = Instant.now

    @Test("a member that is taken out while the source is heard of goes at once")
    func removal() throws {
        var directory = try Self.directory(["a", "b"], at: begin)
        directory.heard(at: begin + .seconds(1))
        directory.remove(try Self.name("a"), at: begin + .seconds(1))
        #expect(Self.names(directory) == ["b", "own"])
    }

    @Test("a source that comes back with nothing takes nobody away until the grace time is over")
    func emptySource() throws {
        var directory = try Self.directory(["a", "b"], at: begin)
        directory.lost()
        directory.expire(at: begin + .seconds(1_000))
        #expect(Self.names(directory) == ["a", "b", "own"])
        directory.synced([], at: begin + .seconds(1_000))
        directory.put(try Self.member("a"))
        directory.expire(at: begin + .seconds(1_029))
        #expect(Self.names(directory) == ["a", "b", "own"])
        directory.expire(at: begin + .seconds(1_030))
        #expect(Self.names(directory) == ["a", "own"])
    }

    @Test("a source that goes away again within the grace time begins it anew")
    func lostInGrace() throws {
        var directory = try Self.directory(["a"], at: begin)
        directory.lost()
        directory.synced([], at: begin + .seconds(10))
        directory.lost()
        directory.expire(at: begin + .seconds(100))
        directory.synced([], at: begin + .seconds(100))
        directory.expire(at: begin + .seconds(129))
        #expect(Self.names(directory) == ["a", "own"])
        directory.expire(at: begin + .seconds(130))
        #expect(Self.names(directory) == ["own"])
    }

    @Test("leases that ran out while the source stood still are not deaths")
    func standstill() throws {
        var directory = try Self.directory(["a", "b"], at: begin)
        // The connection has stayed, but nothing was heard for longer than half a time to live.
        let back = begin + .seconds(40)
        directory.heard(at: back)
        directory.remove(try Self.name("a"), at: back)
        directory.remove(try Self.name("b"), at: back)
        directory.put(try Self.member("b"))
        #expect(Self.names(directory) == ["a", "b", "own"])
        directory.expire(at: back + .seconds(30))
        #expect(Self.names(directory) == ["b", "own"])
    }

    @Test("a revision grows with each change and with nothing else")
    func revisions() throws {
        var directory = try Self.directory(["a"], at: begin)
        let first = directory.revision
        directory.put(try Self.member("a"))
        directory.synced([try Self.member("a")], at: begin)
        directory.update(try Self.member("own"))
        #expect(directory.revision == first)
        var changed = try Self.member("a")
        changed.weight = 7
        directory.put(changed)
        #expect(directory.revision == first + 1)
        #expect(directory.members.first?.weight == 7)
    }

    @Test("this node is in the list as it says itself, whatever the source says")
    func own() throws {
        var directory = try Self.directory([], at: begin)
        var other = try Self.member("own")
        other.weight = 9
        directory.put(other)
        directory.remove(try Self.name("own"), at: begin)
        #expect(directory.members == [try Self.member("own")])
    }

    /// Whatever happens while the source is away and comes back in any state, a member that registers again within
    /// the grace time is never missing from the list.
    @Test("members that register again in time are never missing", arguments: 0..<50 as Range<UInt64>)
    func faithful(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var now = begin
        var directory = try Self.directory(["a", "b", "c"], at: now)
        for _ in 0..<20 {
            // It is away and all is read again, or it was only silent and its leases ran out meanwhile.
            let isLost = Bool.random(using: &random)
            if isLost { directory.lost() }
            now += .seconds(Int.random(in: 16...100, using: &random))
            directory.expire(at: now)
            directory.heard(at: now)
            if isLost {
                directory.synced([], at: now)
            } else {
                for name in ["a", "b", "c"] { directory.remove(try Self.name(name), at: now) }
            }
            for name in ["a", "b", "c"].shuffled(using: &random) {
                now += .seconds(Int.random(in: 0...9, using: &random))
                directory.heard(at: now)
                directory.expire(at: now)
                #expect(Self.names(directory) == ["a", "b", "c", "own"], "seed \(seed)")
                directory.put(try Self.member(name))
            }
            directory.synced(try ["a", "b", "c"].map(Self.member), at: now)
        }
    }

    static func directory(_ names: [String], at now: Instant) throws -> MemberDirectory {
        var directory = MemberDirectory(
            own: try member("own"),
            graceTime: .seconds(30),
            silenceMax: .seconds(15)
        )
        directory.synced(try names.map(member), at: now)
        return directory
    }

    static func names(_ directory: MemberDirectory) -> [String] { directory.members.map(\.name.description) }

    static func name(_ text: String) throws -> NodeName { try #require(NodeName(text)) }

    static func member(_ text: String) throws -> Member {
        Member(name: try name(text), host: "10.0.0.1", port: 7_379, weight: 3, run: 5)
    }
}
