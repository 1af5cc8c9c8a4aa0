import Placement
import Testing

@testable import Membership

@Suite("Registration")
struct RegistrationTests {
    @Test("a free name is taken only while it is free")
    func free() throws {
        let registration = Registration()
        #expect(try step(registration) == .put(ifRevisionIs: 0))
    }

    @Test("a record with these bytes and this lease is left alone; with another lease it is put again")
    func present() throws {
        let own = try MemberDirectoryTests.member("own")
        var registration = Registration()
        registration.lease = 7
        registration.stored([1], own, revision: 20)
        #expect(try step(registration) == .nothing)
        #expect(try step(registration, bytes: [2]) == .put(ifRevisionIs: 20))
        registration.lease = 8
        #expect(try step(registration) == .put(ifRevisionIs: 20))
        registration.changed(to: nil, revision: 21)
        #expect(try step(registration) == .put(ifRevisionIs: 0))
    }

    @Test("news from before what is known are skipped")
    func oldNews() throws {
        var registration = Registration()
        registration.lease = 7
        registration.stored([1], try MemberDirectoryTests.member("own"), revision: 20)
        registration.changed(to: nil, revision: 19)
        #expect(try step(registration) == .nothing)
    }

    @Test("a restart takes its own name over, at the same address")
    func restart() throws {
        var former = try MemberDirectoryTests.member("own")
        former.run = 4
        #expect(try step(found(former)) == .put(ifRevisionIs: 9))
        #expect(try step(found(former), isStart: true) == .put(ifRevisionIs: 9))
    }

    @Test("a node that was replaced by a later run does not fight for its name")
    func replaced() throws {
        var later = try MemberDirectoryTests.member("own")
        later.run = 6
        #expect(try step(found(later)) == .taken(by: later))
        #expect(try step(found(later), isStart: true) == .put(ifRevisionIs: 9))
    }

    @Test("the name of a node at another address is never taken", arguments: [true, false])
    func taken(isStart: Bool) throws {
        var other = try MemberDirectoryTests.member("own")
        other.run = 4
        other.port += 1
        #expect(try step(found(other), isStart: isStart) == .taken(by: other))
    }

    @Test("garbage under the name is replaced")
    func garbage() throws {
        #expect(try step(found(nil)) == .put(ifRevisionIs: 9))
    }

    private func found(_ member: Member?) -> Registration {
        var registration = Registration()
        registration.synced(Registration.Found(bytes: [9], member: member, lease: 3), revision: 9)
        return registration
    }

    private func step(
        _ registration: Registration,
        bytes: [UInt8] = [1],
        isStart: Bool = false
    ) throws -> Registration.Step {
        registration.step(bytes, try MemberDirectoryTests.member("own"), isStart: isStart)
    }
}
