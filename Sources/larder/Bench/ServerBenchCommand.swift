internal import ArgumentParser
internal import Foundation
internal import LarderClient

/// `larder bench server`, and `larder bench` with nothing behind it.
struct ServerBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Load a server and tell how fast it is; also several servers side by side.",
        discussion: """
            Any server that talks RESP or lm:// is measured by the same client: plain sockets, payloads received past all \
            buffers into memory that was touched before, latencies from the first byte sent to the last byte \
            received. After the timed part every key is read once more and compared with what was stored.

              larder bench server --op get --size 2MiB --inflight 1,4
              larder bench --op get,set --inflight 1,1x4 --versus 127.0.0.1:6379 --rounds 5
              larder bench --op match --keys 1000 --versus 127.0.0.1:6379
              larder bench --op get --versus 127.0.0.1:6379,lm:127.0.0.1:65432
              larder bench --op set --size 64KiB --inflight 8x4 --seconds 10 --output json
              larder bench --op kvget --name load --keys 2000 --keep --count 1
              larder bench --op kvget --name load --keys 2000 --stored --once

            OPERATIONS:
              get, set, mixed  Redis's GET and SET; mixed is GET with --reads per cent
              exists           pipelined EXISTS of --batch keys
              match            one KV.MATCH of --batch keys
              kvget, kvput     KV.GET and KV.PUT of --batch blocks; every put has new keys

            IN FLIGHT: 4 is four connections with one operation each, 1x4 one connection with a pipeline of four.

            --versus measures other servers in rounds between those of the first (A B C A B C ...), and gives medians \
            over the rounds, the smallest and the largest in brackets, and beside each other server how many times \
            the first does what it does, round by round. lm:HOST:PORT is a server of LMCache's lm:// protocol, whose \
            puts have no reply: the next request's tells that the key is there. A server that knows no KV verbs gets \
            the nearest plain ones instead: EXISTS, GET, SET.

            --name and --keep leave keys for a later call with --name and --stored, and the same --seed; --once reads \
            each of them once: that is how a node is measured that was started anew.

            What is stored is deleted at the end, unless --keep is given. GB are 1e9 bytes. The word server may be \
            left out.
            """
    )

    @OptionGroup var node: NodeOptions

    @Option(help: ArgumentHelp("Another way to say --node: the host.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("Another way to say --node: the port.", valueName: "number"))
    var port: UInt16?

    @Option(help: ArgumentHelp("Another way to say --node: a Unix socket.", valueName: "path"))
    var unix: String?

    @Option(
        help: ArgumentHelp(
            "Servers without users to compare with: HOST:PORT, unix:PATH, lm:HOST:PORT.",
            valueName: "list"
        )
    )
    var versus = BenchList<BenchTarget>([])

    @Option(
        help: ArgumentHelp(
            "get, set, mixed, exists, match, kvput, kvget; several with commas.",
            valueName: "list"
        )
    )
    var op = BenchList([BenchOperation.get])

    @Option(
        help: ArgumentHelp("Bytes of a value. (default: 2MiB; 64 for exists and match)", valueName: "list")
    )
    var size: BenchList<ByteCount>?

    @Option(
        help: ArgumentHelp("Operations under way: connections, or connections x pipeline.", valueName: "list")
    )
    var inflight = BenchList([BenchConcurrency(connectionCount: 1, depth: 1)])

    @Option(
        help: ArgumentHelp("Different keys. (default: 64; 1000 for exists and match)", valueName: "count")
    )
    var keys: Int?

    @Option(
        help: ArgumentHelp(
            "Keys of one operation. (default: 1; --keys for exists and match)",
            valueName: "count"
        )
    )
    var batch: Int?

    @Option(help: ArgumentHelp("How long a round is measured.", valueName: "seconds"))
    var seconds = 3.0

    @Option(help: ArgumentHelp("Operations of a round, instead of --seconds.", valueName: "count"))
    var count: Int?

    @Flag(help: "Every operation that there is once, instead of --seconds.")
    var once = false

    @Option(help: ArgumentHelp("How long the load runs before a round is measured.", valueName: "time"))
    var warmup = TimeSpan(milliseconds: 500)

    @Option(help: ArgumentHelp("Rounds. (default: 1; 5 with --versus)", valueName: "count"))
    var rounds: Int?

    @Option(help: ArgumentHelp("Share of GET in mixed.", valueName: "per cent"))
    var reads = 80

    @Flag(help: "Compare every payload in the timed part too.")
    var verify = false

    @Flag(help: "Do not read and compare every key after the timed part.")
    var unverified = false

    @Flag(help: "Leave the stored keys on the server.")
    var keep = false

    @Option(
        help: ArgumentHelp(
            "What names the keys. (default: a name of its own for each run)",
            valueName: "name"
        )
    )
    var name: String?

    @Flag(help: "The keys are there already, from a run with the same --name.")
    var stored = false

    @Option(help: ArgumentHelp("Decides payloads and the order of keys.", valueName: "number"))
    var seed: UInt64 = 1

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard
            [node.node.map(\.description), host ?? port.map(String.init), unix].compactMap({ $0 }).count <= 1
        else {
            throw ValidationError("say where the server is once: --node, or --host and --port, or --unix")
        }
        guard seconds > 0, seconds <= 86_400 else {
            throw ValidationError("--seconds is more than 0, at most 86400")
        }
        guard count.map({ $0 > 0 }) ?? true else { throw ValidationError("--count is at least 1") }
        guard !once || count == nil else { throw ValidationError("say --once or --count") }
        guard !stored || name != nil else { throw ValidationError("--stored needs the --name of the keys") }
        guard name.map({ (1...64).contains($0.utf8.count) && $0.utf8.allSatisfy(Self.isNameByte) }) ?? true
        else { throw ValidationError("--name is up to 64 letters, digits, hyphens and underscores") }
        guard (1...1_000).contains(rounds ?? 1) else { throw ValidationError("--rounds is 1 to 1000") }
        guard (0...100).contains(reads) else { throw ValidationError("--reads is 0 to 100") }
        guard (1...10_000_000).contains(keys ?? 1) else { throw ValidationError("--keys is 1 to 10000000") }
        guard (1...16_384).contains(batch ?? 1) else { throw ValidationError("--batch is 1 to 16384") }
        for size in size?.values ?? [] where !(1...(512 << 20)).contains(size.bytes) {
            throw ValidationError("--size is 1 B to 512 MiB")
        }
    }

    func run() async throws {
        let others = versus.values.map { BenchServer(target: $0, credentials: nil) }
        let suite = BenchSuite(
            servers: [try server()] + others,
            cases: try cases(),
            length: once ? .once : count.map(BenchLength.operations) ?? .time(UInt64(seconds * 1e9)),
            warmup: once ? 0 : UInt64(warmup.milliseconds) * 1_000_000,
            roundCount: rounds ?? (others.isEmpty ? 1 : 5),
            seed: seed,
            keepsKeys: keep,
            name: name,
            isStored: stored,
            verifies: !unverified
        )
        let isTold = output.output == .table && StandardStreams.errorIsTerminal
        let results = try suite.run { line in if isTold { StandardStreams.error(line) } }
        try output.print(BenchReport.report(results))
        for line in BenchReport.warnings(results) { StandardStreams.error(line) }
        guard !results.contains(where: \.isWrong) else { throw ExitCode(ExitStatus.negative.rawValue) }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private func server() throws(CommandFailure) -> BenchServer {
        let environment = ProcessInfo.processInfo.environment
        let endpoint =
            if let unix {
                LarderEndpoint.unix(path: unix)
            } else if host != nil || port != nil {
                LarderEndpoint.tcp(host: host ?? "127.0.0.1", port: port ?? LarderEndpoint.defaultPort)
            } else {
                try node.endpoint(environment)
            }
        return BenchServer(target: BenchTarget(endpoint), credentials: try node.credentials(environment))
    }

    /// Every operation with every size and every number in flight.
    func cases() throws(CommandFailure) -> [BenchCase] {
        var cases: [BenchCase] = []
        for operation in op.values {
            for byteCount in size?.values.map(\.bytes) ?? [operation.defaultByteCount] {
                for concurrency in inflight.values {
                    let keyCount = keys ?? operation.defaultKeyCount
                    let batch = batch ?? min(keyCount, operation.defaultBatch)
                    guard batch <= keyCount else {
                        throw CommandFailure(
                            .usage,
                            "--batch \(batch) is more than the \(keyCount) keys there are"
                        )
                    }
                    cases.append(
                        BenchCase(
                            operation: operation,
                            byteCount: byteCount,
                            keyCount: keyCount,
                            batch: batch,
                            concurrency: concurrency,
                            readPercent: reads,
                            verifiesInside: verify
                        )
                    )
                }
            }
        }
        return cases
    }
}

/// One value, or several with commas between them.
struct BenchList<Element: ExpressibleByArgument & Sendable>: ExpressibleByArgument, Sendable {
    let values: [Element]

    init(_ values: [Element]) { self.values = values }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Element(argument: String($0)) }
        guard !values.isEmpty, values.count == parts.count else { return nil }
    }

    var defaultValueDescription: String { values.map(\.defaultValueDescription).joined(separator: ",") }
}
