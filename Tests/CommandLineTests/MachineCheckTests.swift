import Foundation
import Testing

@testable import larder

@Suite("what a machine has, against what a node's settings ask for")
struct MachineCheckTests {
    private static let mebibyte = 1 << 20

    private func limit(_ files: [String: String]) -> Int? {
        ControlGroups { files[$0] }.memoryLimit
    }

    @Test("a bound of version 2 counts wherever it is set from the process's group up to the root")
    func unified() {
        var files = [
            "/proc/self/cgroup": "0::/system.slice/larder.service\n",
            "/proc/self/mountinfo":
                "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            "/sys/fs/cgroup/system.slice/larder.service/memory.max": "max\n",
        ]
        #expect(limit(files) == nil)
        files["/sys/fs/cgroup/system.slice/memory.max"] = "2147483648\n"
        #expect(limit(files) == 2_048 * Self.mebibyte)
        files["/sys/fs/cgroup/system.slice/larder.service/memory.max"] = "536870912\n"
        #expect(limit(files) == 512 * Self.mebibyte)
    }

    @Test(
        "a bound of version 1 counts, its largest number is none, and a container's file system begins at its group"
    )
    func first() {
        var files = [
            "/proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/7bb7\n0::/\n",
            "/proc/self/mountinfo":
                "41 30 0:36 /docker/7bb7 /sys/fs/cgroup/memory ro,nosuid shared:9 - cgroup cgroup rw,memory\n"
                + "42 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        ]
        #expect(limit(files) == nil)
        files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "536870912\n"
        #expect(limit(files) == 512 * Self.mebibyte)
        files["/proc/self/mountinfo"] = "41 30 0:36 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        files["/sys/fs/cgroup/memory/docker/7bb7/memory.limit_in_bytes"] = "268435456\n"
        #expect(limit(files) == 256 * Self.mebibyte)
    }

    @Test("files that are missing or make no sense are no bound")
    func nonsense() {
        #expect(limit([:]) == nil)
        let odd = ["/proc/self/cgroup": "x\n0::\n:::\n", "/proc/self/mountinfo": "- - -\n\n1 2 3\n"]
        #expect(limit(odd) == nil)
    }

    @Test(
        "a node whose memory or disk this machine does not have is refused with a value that fits, and can insist"
    )
    func refusal() throws {
        let directory = try ScratchDirectory()
        let memory = try RunningProgram(["serve", "--memory", "900TiB", "--port", "0"]).finish()
        #expect(memory.status == ExitStatus.usage.rawValue)
        #expect(memory.errors.contains("--memory: '900TiB' is not a size from 16MiB to 16TiB"))
        let large = try RunningProgram(["serve", "--memory", "15TiB", "--port", "0"]).finish()
        #expect(large.status == ExitStatus.configuration.rawValue)
        #expect(large.errors.contains("--memory: 15TiB does not fit this machine"))
        #expect(large.errors.contains("Use --memory "))
        let disk = try RunningProgram([
            "serve", "--port", "0", "--memory", "16MiB", "--memory-file", "off", "--disk", "900TiB",
            "--data-dir",
            directory.file("data"),
        ]).finish()
        #expect(disk.status == ExitStatus.configuration.rawValue)
        #expect(disk.errors.contains("--disk: 900TiB does not fit this machine"))
        #expect(directory.names.isEmpty)
        let (node, _) = try RunningProgram.startNode([
            "--memory", "16MiB", "--memory-file", "off", "--disk", "900TiB", "--data-dir",
            directory.file("data"), "--force",
        ])
        node.terminate()
    }

    @Test("the doctor leaves no directory behind that it made")
    func doctorLeavesNothing() throws {
        let directory = try ScratchDirectory()
        let result = try RunningProgram([
            "doctor", "--memory", "16MiB", "--data-dir", directory.file("a/b"), "--disk", "64MiB", "--port",
            "0",
            "--disk-test", "1MiB",
        ]).finish()
        #expect(result.output.contains("rocksdb with lz4"), "\(result.errors)")
        #expect(directory.names.isEmpty)
    }

    @Test("settings that change nothing are named with what they need")
    func ineffective() throws {
        func found(_ flags: [ServeSetting: String]) throws -> [String] {
            try ServeSettings(flags: flags, environment: [:], file: nil).ineffective
                .map { "\($0.given) needs \($0.needed)" }
        }
        #expect(try found([:]).isEmpty)
        #expect(try found([.replicas: "2"]) == ["--replicas needs --cluster"])
        #expect(try found([.sharedWrites: "true"]) == ["--shared-writes needs --unix"])
        #expect(try found([.sharedWrites: "false", .replicas: "1"]).isEmpty)
        #expect(try found([.disk: "1GiB"]) == ["--disk needs --data-dir"])
        #expect(try found([.disk: "1GiB", .dataDir: "/x"]).isEmpty)
        #expect(
            try found([.etcdCA: "ca.pem", .cluster: "static:a=127.0.0.1:1"])
                == ["--etcd-ca needs --cluster etcd://... or etcds://..."]
        )
    }

    @Test(
        "variables of a Kubernetes service named larder are set aside and named, others are refused as before"
    )
    func serviceLinks() throws {
        let links = [
            "LARDER_SERVICE_HOST": "10.0.0.1", "LARDER_SERVICE_PORT": "7379",
            "LARDER_SERVICE_PORT_RESP": "7379",
            "LARDER_PORT": "tcp://10.0.0.1:7379", "LARDER_PORT_7379_TCP": "tcp://10.0.0.1:7379",
            "LARDER_PORT_7379_TCP_ADDR": "10.0.0.1", "LARDER_ETCD_SERVICE_HOST": "10.0.0.2",
            "LARDER_PASSWORD": "secret", "LARDER_BIN": "/x",
        ]
        let settings = try ServeSettings(flags: [:], environment: links, file: nil)
        #expect(settings.ignoredNames.count == 7)
        #expect(settings[.port] == SettingValue(text: "7379", origin: .builtIn))
        #expect(throws: CommandFailure.self) {
            try ServeSettings(flags: [:], environment: ["LARDER_PORTS": "1"], file: nil)
        }
    }

    @Test("put says why it was not answered, and ends as the other commands do")
    func put() throws {
        let payload = try RunningProgram(
            ["put", "--ns", #"{"model":"m"}"#, "k", "-", "--node", "127.0.0.1:1"],
            input: "x"
        ).finish()
        #expect(payload.status == ExitStatus.unavailable.rawValue)
        #expect(payload.errors.contains("no node at 127.0.0.1:1"))
        let (node, address) = try RunningProgram.startNode([])
        let unknown = try RunningProgram(
            ["put", "--ns", String(repeating: "0", count: 64), "k", "-", "--node", address],
            input: "x"
        ).finish()
        #expect(unknown.status == ExitStatus.software.rawValue)
        #expect(unknown.errors.contains("unknown namespace"))
        node.terminate()
    }
}
