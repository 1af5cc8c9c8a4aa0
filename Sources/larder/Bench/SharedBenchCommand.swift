internal import ArgumentParser
internal import LarderClient

/// `larder bench shared`.
struct SharedBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shared",
        abstract:
            "Tell how fast a client on the node's host reads and stores blocks: by its socket, and in its memory.",
        discussion: """
            The client is LarderClient on the node's Unix socket, as an engine would use it. Every way is measured in \
            turn, round after round, and compared with memcpy of the same blocks in ordinary memory.

              larder bench shared --unix /run/larder/node.sock
              larder bench shared --unix node.sock --size 2MiB --batch 1,64 --rounds 9
              larder bench shared --unix node.sock --versus unix:/run/redis.sock

            WAYS:
              memcpy    copies of the blocks within this process: what memory gives
              lent-copy copies out of the node's memory with all blocks lent beforehand: no requests
              lent-read the same, read in place for the checksum instead of copied
              socket    loaded through the socket
              copied    loaded out of the node's memory: borrowed, copied, checksum proved, given back
              in-place  borrowed, every byte read for its checksum where it lies, given back
              borrowed  borrowed and given back without being read
              stored    new blocks stored through the socket
              placed    new blocks written in the node's memory, where the node has --shared-writes
              redis     GET on the Redis at --versus, one connection, pipelines of up to 8
            """
    )

    @Option(help: ArgumentHelp("Unix socket of the node.", valueName: "path"))
    var unix: String

    @Option(help: ArgumentHelp("A Redis to compare with, unix:PATH or HOST:PORT.", valueName: "address"))
    var versus: LarderEndpoint?

    @Option(help: ArgumentHelp("Bytes of a block.", valueName: "size"))
    var size = ByteCount(bytes: 2 << 20)

    @Option(help: ArgumentHelp("Different blocks.", valueName: "count"))
    var keys = 64

    @Option(help: ArgumentHelp("Blocks of one call.", valueName: "list"))
    var batch = BenchList([1, 64])

    @Option(help: ArgumentHelp("How long each way is measured in a round.", valueName: "seconds"))
    var seconds = 0.5

    @Option(help: ArgumentHelp("Rounds.", valueName: "count"))
    var rounds = 5

    @Option(help: ArgumentHelp("Decides the payloads.", valueName: "number"))
    var seed: UInt64 = 1

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard seconds > 0, seconds <= 3_600 else {
            throw ValidationError("--seconds is more than 0, at most 3600")
        }
        guard (1...1_000).contains(rounds) else { throw ValidationError("--rounds is 1 to 1000") }
        guard (1...100_000).contains(keys) else { throw ValidationError("--keys is 1 to 100000") }
        guard batch.values.allSatisfy({ (1...keys).contains($0) }) else {
            throw ValidationError("--batch is 1 to --keys")
        }
        guard (1...(512 << 20)).contains(size.bytes) else {
            throw ValidationError("--size is 1 B to 512 MiB")
        }
    }

    func run() async throws {
        var report = SharedBenchReport.empty
        for batch in batch.values {
            let bench = try await SharedBench(
                path: unix,
                redis: versus.map { BenchServer(target: BenchTarget($0), credentials: nil) },
                byteCount: size.bytes,
                keyCount: keys,
                batch: batch,
                seed: seed
            )
            let results: [SharedBench.Result]
            do {
                results = try await bench.run(rounds: rounds, nanoseconds: UInt64(seconds * 1e9))
                await bench.clean()
            } catch {
                await bench.clean()
                throw error
            }
            for result in results {
                report.rows.append(SharedBenchReport.row(result, size.bytes, batch, baseline: results.first))
            }
        }
        try output.print(report)
    }
}
