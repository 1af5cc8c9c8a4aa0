import Testing

@testable import larder

@Suite("the doctor's verdicts")
struct DoctorTests {
    @Test("too few descriptors are a warning that says how many are needed")
    func openFiles() {
        #expect(LimitChecks.openFiles(limit: 1_024, connections: 10_000).verdict == .warning)
        #expect(
            LimitChecks.openFiles(limit: 1_024, connections: 10_000).fix?.contains("ulimit -n 11024") == true
        )
        #expect(LimitChecks.openFiles(limit: 11_024, connections: 10_000).verdict == .ok)
        #expect(LimitChecks.openFiles(limit: nil, connections: 10_000).verdict == .ok)
    }

    @Test(
        "an arena that does not fit into what is free, or into the control group, is a failure with a size that does"
    )
    func memory() {
        let gibibyte = 1 << 30
        #expect(
            MemoryChecks.memory(available: 4 * gibibyte, groupLimit: nil, arena: 2 * gibibyte).verdict == .ok
        )
        let bounded = MemoryChecks.memory(available: 4 * gibibyte, groupLimit: gibibyte, arena: 2 * gibibyte)
        #expect(bounded.verdict == .failure)
        let suggested = bounded.fix.flatMap { ByteCount(String($0.dropFirst("--memory ".count))) }
        #expect(suggested.map { (1..<gibibyte).contains($0.bytes) } == true)
    }

    @Test("the kernel's memory figures are read in bytes")
    func meminfo() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   1024 kB\n"
        #expect(MemoryChecks.value(of: "MemAvailable", in: text) == 1_048_576)
        #expect(MemoryChecks.value(of: "Nothing", in: text) == nil)
        #expect(MemoryChecks.value(of: "MemAvailable", in: "MemAvailable: many kB") == nil)
    }

    @Test(
        "huge pages are fine when the kernel gives them on advice",
        arguments: [
            ("always within_size [advise] never deny force", Finding.Verdict.ok),
            ("always within_size advise [never] deny force", .warning), ("", .warning),
        ]
    )
    func hugePages(setting: String, verdict: Finding.Verdict) {
        #expect(MemoryChecks.hugePages(setting: setting).verdict == verdict)
    }

    @Test("an arena that is a file in /dev/shm has the huge pages of that file system")
    func hugePagesOfMount() {
        let mounts = "proc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,size=64m,huge=advise 0 0\n"
        let options = MemoryChecks.mountOptions(of: "/dev/shm", in: mounts)
        #expect(options == "rw,nosuid,size=64m,huge=advise")
        let setting = "always within_size advise [never] deny force"
        #expect(MemoryChecks.hugePages(setting: setting, mountOptions: options).verdict == .ok)
        #expect(MemoryChecks.hugePages(setting: setting, mountOptions: "rw,huge=never").verdict == .warning)
        #expect(MemoryChecks.hugePages(setting: "[advise]", mountOptions: "rw").verdict == .warning)
        #expect(MemoryChecks.mountOptions(of: "/mnt", in: mounts) == nil)
    }

    @Test(
        "/dev/shm that cannot hold the arena is a warning, what the node has there counts as free; so is kept memory"
    )
    func keptMemory() {
        let gibibyte = 1 << 30
        #expect(MemoryChecks.sharedMemory(free: 64 << 20, arena: gibibyte, own: 0).verdict == .warning)
        #expect(MemoryChecks.sharedMemory(free: 64 << 20, arena: gibibyte, own: gibibyte).verdict == .ok)
        #expect(MemoryChecks.sharedMemory(free: 64 << 20, arena: nil, own: 0).verdict == .ok)
        #expect(MemoryChecks.sharedMemory(free: nil, arena: nil, own: 0).verdict == .warning)
        #expect(MemoryChecks.leftovers([]).verdict == .ok)
    }

    @Test("a budget that does not fit on the disk is a failure; what the directory holds counts as free")
    func space() {
        let gibibyte = 1 << 30
        #expect(DiskChecks.space(free: 8 * gibibyte, used: 0, budget: 10 * gibibyte).verdict == .failure)
        #expect(
            DiskChecks.space(free: 8 * gibibyte, used: 3 * gibibyte, budget: 10 * gibibyte).verdict == .ok
        )
    }

    @Test("a slow disk is a warning")
    func speed() {
        let slow = DiskChecks.speed(DiskSpeed(write: 50e6, read: 1e9, syncSeconds: 0.1))
        #expect(slow.map(\.verdict) == [.warning, .ok, .warning])
        let fast = DiskChecks.speed(DiskSpeed(write: 1e9, read: 1e9, syncSeconds: 0.001))
        #expect(fast.allSatisfy { $0.verdict == .ok })
    }

    @Test("a port that a listener holds is taken, and free when it is gone")
    func port() throws {
        #expect(PortProbe.bindFailure(host: "127.0.0.1", port: 0) == nil)
        #expect(PortProbe.judge("port", host: "127.0.0.1", port: 1, failure: nil).verdict == .ok)
        #expect(PortProbe.bindFailure(host: "203.0.113.1", port: 0) != nil)
    }

    @Test("the verdicts are lines for people, with a line to act on and a sum")
    func text() {
        let findings: [Finding] = [
            .ok("memory", "8.0 GiB available"), .warning("huge pages", "never", fix: "echo advise"),
            .failure("port", "taken", fix: "choose another"),
        ]
        #expect(
            findings.text == """
                ok       memory      8.0 GiB available
                warning  huge pages  never
                                     fix: echo advise
                failure  port        taken
                                     fix: choose another
                not fit: 1 failed, 1 with a warning
                """
        )
        #expect([Finding.ok("a", "b")].text.hasSuffix("\nfit to serve"))
    }

    @Test("a small test of the disk measures speeds and leaves nothing behind")
    func probe() throws {
        let directory = try ScratchDirectory()
        let speed = try DiskProbe.measure(directory: directory.path, byteCount: 8 << 20)
        #expect(speed.write > 0 && speed.read > 0 && speed.syncSeconds > 0)
        #expect(directory.names.isEmpty)
    }

    @Test("a directory that cannot be written is said to be so")
    func probeOfNothing() {
        #expect(throws: CommandFailure.self) {
            try DiskProbe.measure(directory: "/nowhere/at/all", byteCount: 1 << 20)
        }
    }

    @Test(
        "numbers have the decimals asked for",
        arguments: [(1.25, 1, "1.3"), (0.0, 2, "0.00"), (-2.5, 0, "-3")]
    )
    func decimals(value: Double, count: Int, text: String) {
        #expect(Rate.decimals(value, count) == text)
    }
}
