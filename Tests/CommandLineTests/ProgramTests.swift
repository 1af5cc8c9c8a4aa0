import Foundation
import Testing

@testable import larder

@Suite("the program against a node of its own", .serialized)
struct ProgramTests {
    private let namespace = #"{"model":"m"}"#

    /// A node on a free port, and its address.
    private func start(_ arguments: String...) throws -> (node: RunningProgram, address: String) {
        try RunningProgram.startNode(arguments)
    }

    @Test("users are added to a file one after the other, and changed when that is said")
    func usersFile() throws {
        let directory = try ScratchDirectory()
        let passwords = directory.file("password")
        let file = directory.file("users.txt")
        try directory.write("secret\n", to: "password")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: passwords)
        let additions: [(name: String, flags: [String], succeeds: Bool)] = [
            ("a", [], true), ("b", [], true), ("a", [], false), ("a", ["--replace"], true),
        ]
        for (name, flags, succeeds) in additions {
            let arguments =
                ["user", "add", file, name, "--tenant", "t", "--password-file", passwords] + flags
            let result = try RunningProgram(arguments).finish()
            #expect((result.status == 0) == succeeds, "\(result.errors)")
        }
        let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.filter { !$0.hasPrefix("#") }.map { $0.prefix(2) }.sorted() == ["a:", "b:"])
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(directory.names.sorted() == ["password", "users.txt"])
    }

    @Test("what is put is matched, read, explained, pinned and deleted, and shows in the figures")
    func blocks() throws {
        let (node, address) = try start()
        let environment = ["LARDER_NODE": address]
        func larder(_ arguments: String..., input: String = "") throws -> RunningProgram.Result {
            try RunningProgram(arguments, environment: environment, input: input).finish()
        }
        let directory = try ScratchDirectory()

        #expect(
            try larder("put", "--ns", namespace, "first", "-", "--tokens", "16", input: "hello").output
                == "stored\n"
        )
        #expect(try larder("put", "--ns", namespace, "first", "-", input: "hello").output == "exists\n")
        let conflict = try larder("put", "--ns", namespace, "first", "-", input: "other")
        #expect(conflict.status == 1)
        #expect(conflict.errors.hasPrefix("larder: refused: "))

        #expect(try larder("get", "--ns", namespace, "first").output == "hello")
        let file = directory.file("payload")
        #expect(try larder("get", "--ns", namespace, "hex:6669727374", "--to", file).status == 0)
        #expect(FileManager.default.contents(atPath: file) == Data("hello".utf8))
        let absent = try larder("get", "--ns", namespace, "second")
        #expect(absent.status == 1)
        #expect(absent.errors == "larder: no block with key second\n")

        let match = try larder("match", "--ns", namespace, "first", "second", "--output", "jsonl")
        #expect(match.status == 1)
        #expect(
            match.output == """
                {"key":"first","held":true,"tier":"memory"}
                {"key":"second","held":false,"tier":null}

                """
        )
        #expect(try larder("match", "--ns", namespace, "first").status == 0)
        #expect(try larder("pin", "--ns", namespace, "first", "--ttl", "1h").output == "1 of 1 pinned\n")
        #expect(try larder("unpin", "--ns", namespace, "first").output == "1 of 1 unpinned\n")

        let stats = try larder("stats", "--output", "json").output
        let figures = try #require(try JSONSerialization.jsonObject(with: Data(stats.utf8)) as? [String: Any])
        #expect(figures["puts_stored"] as? Int == 1)
        #expect(figures["memory_blocks"] as? Int == 1)

        #expect(try larder("delete", "--ns", namespace, "first", "second").output == "1 deleted\n")
        let explained = try larder("explain", "--ns", namespace, "first", "--output", "jsonl").output
        #expect(explained.contains("deleted"))
        #expect(try larder("delete", "--ns", namespace, "--all").status == 1)

        node.terminate()
        #expect(try node.finish().status == 0)
    }

    @Test("SIGTERM writes RAM to disk, and the next node serves it")
    func drain() throws {
        let directory = try ScratchDirectory()
        let arguments = ["--data-dir", directory.file("data"), "--disk", "64MiB"]
        let payload = String(repeating: "kv", count: 5_000)
        do {
            let (node, address) = try start(arguments[0], arguments[1], arguments[2], arguments[3])
            let put = try RunningProgram.run(
                "put",
                "--node",
                address,
                "--ns",
                namespace,
                "a",
                "-",
                input: payload
            )
            #expect(put.output == "stored\n")
            node.terminate()
            #expect(try node.finish().status == 0)
        }
        let (node, address) = try start(arguments[0], arguments[1], arguments[2], arguments[3])
        let match = try RunningProgram.run(
            "match",
            "--node",
            address,
            "--ns",
            namespace,
            "a",
            "--output",
            "jsonl"
        )
        #expect(match.output.contains(#""tier":"disk""#))
        let file = try directory.write(
            #"{"ns":\#(namespace),"keys":["61"],"pin":true,"ttl":"1h"}"#,
            to: "warm.jsonl"
        )
        let plan = try RunningProgram.run("warm", "--node", address, file, "--dry-run", "--output", "jsonl")
        #expect(plan.output.contains(#""promoted":1,"prefilled":0,"pinned":1,"missing":0"#))
        let warm = try RunningProgram.run("warm", "--node", address, file, "--output", "jsonl")
        #expect(warm.status == 0)
        #expect(warm.output.contains(#""promoted":1,"prefilled":0,"pinned":1,"missing":0"#))
        let matchAfter = try RunningProgram.run(
            "match",
            "--node",
            address,
            "--ns",
            namespace,
            "a",
            "--output",
            "jsonl"
        )
        #expect(matchAfter.output.contains(#""tier":"memory""#))
        #expect(try RunningProgram.run("get", "--node", address, "--ns", namespace, "a").output == payload)

        // The directory has one owner.
        let second = try RunningProgram.run(
            "serve",
            "--port",
            "0",
            "--memory",
            "32MiB",
            "--data-dir",
            directory.file("data"),
            "--disk",
            "64MiB"
        )
        #expect(second.status == ExitStatus.unavailable.rawValue)
        #expect(second.errors.contains("larder: "))
        node.terminate()
        #expect(try node.finish().status == 0)
    }

    @Test("a node with users wants the right password, which never stands on a command line")
    func users() throws {
        let directory = try ScratchDirectory()
        let users = directory.file("users.txt")
        let password = try directory.write("correct horse\n", to: "password")
        let added = try RunningProgram.run(
            "user",
            "add",
            users,
            "engine",
            "--tenant",
            "team",
            "--scopes",
            "read,write",
            input: "correct horse\n"
        )
        #expect(added.status == 0)
        #expect(
            FileManager.default.contents(atPath: users).map { String(decoding: $0, as: UTF8.self) }?.contains(
                "correct"
            ) == false
        )

        let (node, address) = try start("--users", users)
        let anonymous = try RunningProgram.run("match", "--node", address, "--ns", namespace, "a")
        #expect(anonymous.status == ExitStatus.noPermission.rawValue)
        let wrong = try RunningProgram.run(
            "match",
            "--node",
            address,
            "--ns",
            namespace,
            "a",
            "--user",
            "engine",
            "--password-file",
            users
        )
        #expect(wrong.status == ExitStatus.noPermission.rawValue)
        let right = try RunningProgram.run(
            "put",
            "--node",
            address,
            "--ns",
            namespace,
            "a",
            "-",
            "--user",
            "engine",
            "--password-file",
            password,
            input: "x"
        )
        #expect(right.output == "stored\n")
        node.terminate()
        #expect(try node.finish().status == 0)
    }

    @Test("what cannot work ends with one line that says what to do, and a status that says which kind it is")
    func failures() throws {
        let (node, address) = try start()
        let port = String(address.split(separator: ":")[1])
        let taken = try RunningProgram.run("serve", "--port", port, "--memory", "32MiB")
        #expect(taken.status == ExitStatus.unavailable.rawValue)
        #expect(taken.errors.contains("taken"))
        node.terminate()
        _ = try node.finish()

        let nobody = try RunningProgram.run("stats", "--node", "127.0.0.1:\(port)", "--timeout", "1s")
        #expect(nobody.status == ExitStatus.unavailable.rawValue)
        #expect(nobody.errors.contains("larder serve"))

        let open = try RunningProgram.run("serve", "--host", "0.0.0.0", "--port", "0")
        #expect(open.status == ExitStatus.configuration.rawValue)
        #expect(open.errors.contains("--users"))

        let slip = try RunningProgram.run("serve", environment: ["LARDER_MEMROY": "1GiB"])
        #expect(slip.status == ExitStatus.configuration.rawValue)
        #expect(slip.errors.contains("did you mean 'LARDER_MEMORY'?"))
        let usage = try RunningProgram.run("stats", "--hot", "3")
        #expect(usage.status == ExitStatus.usage.rawValue)
        for result in [taken, nobody, open, slip] {
            #expect(result.errors.split(separator: "\n").last?.hasPrefix("larder: ") == true)
        }
    }

    @Test("the configuration is shown with the origin of each value")
    func printedConfiguration() throws {
        let directory = try ScratchDirectory()
        let file = try directory.write("memory: 64MiB\nport: 1\n", to: "larder.yaml")
        let result = try RunningProgram.run(
            "serve",
            "--print-config",
            "--output",
            "jsonl",
            "--port",
            "2",
            "--config",
            file,
            environment: ["LARDER_DISK": "1GiB"]
        )
        #expect(result.status == 0)
        let lines = result.output.split(separator: "\n")
        #expect(lines.contains(#"{"setting":"port","value":"2","origin":"--port"}"#))
        #expect(lines.contains(#"{"setting":"disk","value":"1GiB","origin":"LARDER_DISK"}"#))
        #expect(
            lines.contains {
                $0.hasPrefix(#"{"setting":"memory","value":"64MiB","origin":""#)
                    && $0.contains("larder.yaml:1")
            }
        )
    }
}
