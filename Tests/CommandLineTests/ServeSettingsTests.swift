import ArgumentParser
import Node
import Testing

@testable import larder

@Suite("settings of a node")
struct ServeSettingsTests {
    @Test("flags win over the environment, that over the file, that over defaults")
    func precedence() throws {
        let file = try ConfigurationFile(text: "port: 1\nmemory: 1GiB\ndisk: 1GiB\n", path: "larder.yaml")
        let settings = try ServeSettings(
            flags: [.port: "3"],
            environment: ["LARDER_PORT": "2", "LARDER_MEMORY": "3GiB", "PATH": "/bin"],
            file: file
        )
        #expect(settings[.port] == SettingValue(text: "3", origin: .flag(.port)))
        #expect(settings[.memory] == SettingValue(text: "3GiB", origin: .environment(.memory)))
        #expect(settings[.disk] == SettingValue(text: "1GiB", origin: .file(path: "larder.yaml", line: 3)))
        #expect(settings[.host] == SettingValue(text: "127.0.0.1", origin: .builtIn))
        #expect(settings[.host].origin.description == "default")
        #expect(settings[.disk].origin.description == "larder.yaml:3")
    }

    @Test("every setting's default reads back as its type")
    func defaults() throws {
        let settings = try ServeSettings(flags: [:], environment: [:], file: nil)
        _ = try ServeConfiguration(settings)
    }

    @Test("an unknown key of the file is refused with its line and a suggestion")
    func unknownKey() {
        #expect(
            throws: CommandFailure(
                .configuration,
                "l.yaml:2: 'memroy' is no setting of larder serve; did you mean 'memory'?"
            )
        ) {
            try ConfigurationFile(text: "port: 1\nmemroy: 1GiB\n", path: "l.yaml")
        }
    }

    @Test("an unknown LARDER_ name in the environment is refused with a suggestion")
    func unknownVariable() {
        #expect(
            throws: CommandFailure(
                .configuration,
                "environment: LARDER_MEMROY is no setting of larder; did you mean 'LARDER_MEMORY'?"
            )
        ) {
            try ServeSettings(flags: [:], environment: ["LARDER_MEMROY": "1GiB"], file: nil)
        }
    }

    @Test("names that other commands read are let through")
    func clientNames() throws {
        let environment = [
            "LARDER_NODE": "x", "LARDER_CONFIG": "y", "LARDER_USER": "z", "LARDER_PASSWORD_FILE": "p",
        ]
        _ = try ServeSettings(flags: [:], environment: environment, file: nil)
    }

    @Test(
        "what is not a list of plain values is refused",
        arguments: [
            "- a\n", "memory: [1]\n", "memory: {a: 1}\n", "port: 1\nport: 2\n", "a: b: c\n", "just words\n",
        ]
    )
    func malformedFile(text: String) {
        #expect(throws: CommandFailure.self) { try ConfigurationFile(text: text, path: "l.yaml") }
    }

    @Test(
        "an empty file, a comment and a null say nothing",
        arguments: ["", "# nothing\n", "---\n", "users: ~\n"]
    )
    func emptyFile(text: String) throws {
        let file = try ConfigurationFile(text: text, path: "l.yaml")
        let settings = try ServeSettings(flags: [:], environment: [:], file: file)
        #expect(settings.optionalText(.users) == nil)
    }

    @Test("a value of the wrong kind names where it stands and what is expected")
    func wrongValue() throws {
        let settings = try ServeSettings(flags: [:], environment: ["LARDER_MEMORY": "2G"], file: nil)
        #expect(
            throws: CommandFailure(
                .configuration,
                "LARDER_MEMORY: '2G' is not a size such as 2GiB, 512MiB or 1GB"
            )
        ) {
            try settings.byteCount(.memory)
        }
        let flags = try ServeSettings(flags: [.drainTimeout: "30"], environment: [:], file: nil)
        #expect(
            throws: CommandFailure(.usage, "--drain-timeout: '30' is not a time such as 30s, 500ms or 1h")
        ) {
            try flags.timeSpan(.drainTimeout)
        }
    }

    @Test(
        "events are off unless they have a port, and what cannot be is refused",
        arguments: [
            ([.eventsReplayPort: "5558"], "--events-port"), ([.eventsPort: "70000"], "0 to 65535"),
            ([.eventsPort: "5557", .eventsPod: "a@b"], "'@'"), ([.eventsDialect: "xml"], "map, array"),
            ([.eventsHashes: "int32"], "bytes, int64"),
        ] as [([ServeSetting: String], String)]
    )
    func events(flags: [ServeSetting: String], hint: String) throws {
        let settings = try ServeSettings(flags: flags, environment: [:], file: nil)
        #expect {
            try ServeConfiguration(settings)
        } throws: { error in
            (error as? CommandFailure)?.description.contains(hint) == true
        }
    }

    @Test(
        "the control plane needs users beyond loopback, and TLS whole",
        arguments: [
            ([.controlPort: "70000"], "0 to 65535"),
            ([.controlPort: "0", .controlHost: "0.0.0.0"], "--users"),
            ([.controlPort: "0", .controlTLSCertificate: "/dev/null"], "--control-tls-key"),
            ([.controlPort: "0", .controlTLSClientCA: "/dev/null"], "--control-tls-cert"),
            (
                [.controlPort: "0", .controlTLSCertificate: "/nowhere", .controlTLSKey: "/dev/null"],
                "no such file"
            ),
        ] as [([ServeSetting: String], String)]
    )
    func control(flags: [ServeSetting: String], hint: String) throws {
        let settings = try ServeSettings(flags: flags, environment: [:], file: nil)
        #expect {
            try ServeConfiguration(settings)
        } throws: { error in
            (error as? CommandFailure)?.description.contains(hint) == true
        }
    }

    @Test("each setting has a flag of the same name")
    func flagsExist() {
        let help = Larder.helpMessage(for: ServeCommand.self, columns: 100)
        for setting in ServeSetting.allCases {
            #expect(help.contains("--\(setting.rawValue) <"), "\(setting.rawValue)")
            #expect(help.contains(setting.environmentName), "\(setting.rawValue)")
        }
    }

    @Test("each flag reaches its setting")
    func flagsArrive() throws {
        for setting in ServeSetting.allCases {
            let options = try SettingOptions.parse(["--\(setting.rawValue)", "value"])
            #expect(options.flags == [setting: "value"])
        }
    }

    @Test("the index of the disk tier is large enough for the budget, within a 16th of the memory")
    func diskBlocks() throws {
        let gibibyte = 1 << 30
        #expect(BlockCounts.disk(budget: 200 * gibibyte, machineMemory: 64 * gibibyte) > 200 * gibibyte >> 16)
        #expect(BlockCounts.disk(budget: 20 * gibibyte, machineMemory: 64 * gibibyte) == 10_485_760)
        #expect(BlockCounts.disk(budget: 200 * gibibyte, machineMemory: 16 * gibibyte) == 9_586_980)
        #expect(BlockCounts.disk(budget: 200 * gibibyte, machineMemory: nil) == 1_000_000)
        #expect(BlockCounts.disk(budget: 0, machineMemory: .max) == 1_000_000)
        #expect(BlockCounts.disk(budget: .max, machineMemory: .max) == 60_000_000)
        #expect(BlockCounts.memory(budget: 2 * gibibyte) == 500_000)
        #expect(BlockCounts.memory(budget: 64 * gibibyte) == 2_097_152)
    }

    @Test("block counts that are given are taken, and refused outside their bounds")
    func givenBlockCounts() throws {
        let flags: [ServeSetting: String] = [.diskBlocks: "10000000", .memoryBlocks: "1234"]
        let node = try ServeConfiguration(ServeSettings(flags: flags, environment: [:], file: nil)).node
        #expect(node.diskBlockCountMax == 10_000_000)
        #expect(node.memoryBlockCountMax == 1_234)
        for wrong in ["-1", "60000001", "many"] {
            let settings = try ServeSettings(flags: [.diskBlocks: wrong], environment: [:], file: nil)
            #expect(throws: CommandFailure.self) { try ServeConfiguration(settings) }
        }
    }

    @Test("the doctor names the index's memory, and warns of one beyond a quarter of the machine's")
    func indexMemory() {
        let fits = DiskChecks.index(blockCountMax: 1_000_000, budget: 200 << 30, machineMemory: 16 << 30)
        #expect(fits.verdict == .ok)
        #expect(fits.detail.contains("1000000 blocks"))
        let large = DiskChecks.index(blockCountMax: 60_000_000, budget: 200 << 30, machineMemory: 16 << 30)
        #expect(large.verdict == .warning)
        #expect(large.fix?.contains("--disk-blocks") == true)
    }

    @Test("beyond loopback there must be users")
    func openHost() throws {
        let settings = try ServeSettings(flags: [.host: "0.0.0.0"], environment: [:], file: nil)
        #expect {
            try ServeConfiguration(settings)
        } throws: { error in
            (error as? CommandFailure)?.description.contains("--users") == true
        }
    }
}
