import Eviction
import Foundation
import Node
import Testing
import TraceReplay

@testable import larder

@Suite("larder trace")
struct TraceTests {
    private static let lines = """
        {"timestamp": 0, "input_length": 900, "output_length": 5, "hash_ids": [0, 1]}
        {"timestamp": 1, "input_length": 900, "output_length": 5, "hash_ids": [0, 1, 2]}

        {"hash_ids": [3]}
        """

    private func parse(_ text: String, chunk: Int) throws -> Trace {
        var parser = TraceFile.Parser(path: "t.jsonl")
        var rest = Data(text.utf8)
        while !rest.isEmpty {
            try parser.feed(Data(rest.prefix(chunk)))
            rest = Data(rest.dropFirst(chunk))
        }
        return try parser.finish().trace
    }

    @Test("a trace is read whole, whatever pieces it comes in", arguments: [1, 7, 100, 10_000])
    func pieces(chunk: Int) throws {
        let trace = try parse(Self.lines, chunk: chunk)
        #expect(trace.requestCount == 3)
        #expect(trace.blocks == [0, 1, 0, 1, 2, 3])
        #expect(trace.range(of: 1) == 2..<5)
    }

    @Test(
        "a line that is no request is named",
        arguments: ["nonsense", "{\"hash_ids\": [-1]}", "{\"hash_ids\": \"1\"}", "{}", "[1]"]
    )
    func badLine(line: String) throws {
        let failure = #expect(throws: CommandFailure.self) {
            try parse(Self.lines + "\n" + line + "\n", chunk: 64)
        }
        #expect(failure?.description.hasPrefix("t.jsonl:5: ") == true)
        #expect(failure?.status == .noInput)
    }

    @Test("a file without requests is refused")
    func empty() {
        #expect(throws: CommandFailure.self) { try parse("\n\n", chunk: 10) }
    }

    @Test("the report has a row for each policy, the optimum and the endless cache")
    func report() throws {
        let trace = try parse(Self.lines, chunk: 64)
        var simulation = TraceSimulation(
            trace,
            policies: [.lru, .forecast],
            capacities: [2, 10],
            .tailFirst
        )
        let report = simulation.run()
        #expect(report.rows.map { $0[0].text } == ["lru", "forecast", "optimum", "endless"])
        #expect(
            report.columns.map { $0.name } == ["policy", "hit_percent_2", "hit_percent_10", "nanoseconds"]
        )
        #expect(report.rows.allSatisfy { $0[2].text == "33.33" })
    }

    @Test("a node's policy is chosen by name")
    func serve() throws {
        let settings = try ServeSettings(flags: [.memoryPolicy: "s3-fifo"], environment: [:], file: nil)
        #expect(try ServeConfiguration(settings).node.memoryPolicy == .s3FIFO)
        let plain = try ServeSettings(flags: [:], environment: [:], file: nil)
        #expect(try ServeConfiguration(plain).node.memoryPolicy == .forecast)
        let wrong = try ServeSettings(flags: [.memoryPolicy: "mru"], environment: [:], file: nil)
        #expect(throws: CommandFailure.self) { try ServeConfiguration(wrong) }
    }
}
