import LarderClient
import RESP
import Testing

@testable import larder

@Suite("Load generator and lm://")
struct LMBenchTests {
    private func workload(_ operation: BenchOperation, batch: Int = 1) -> BenchWorkload {
        let plan = BenchCase(
            operation: operation,
            byteCount: 100,
            keyCount: 4,
            batch: batch,
            concurrency: BenchConcurrency(connectionCount: 1, depth: 1),
            readPercent: 80,
            verifiesInside: false
        )
        let payloads = BenchPayloads(byteCount: 100, count: 4, seed: 1)
        return BenchWorkload(plan: plan, payloads: payloads, run: "r", dialect: .lm)
    }

    /// The bytes of a message, sent `step` at a time.
    private func bytes(_ message: BenchMessage, step: Int) -> [UInt8] {
        var progress = BenchMessage.Progress()
        var bytes: [UInt8] = []
        while progress.byteCount < message.byteCount {
            unsafe message.sendNext(&progress, countMax: 64) { pieces in
                let next = unsafe pieces.flatMap { unsafe Array($0) }.prefix(step)
                bytes += next
                return next.count
            }
        }
        return bytes
    }

    private func reply(_ code: Int32, _ byteCount: Int32) -> [UInt8] {
        [code, byteCount, 1, 3, 1, 1, 1, 50, 1].flatMap { word in
            (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
    }

    private func events(_ bytes: [UInt8], step: Int) throws -> [ReplyEvent] {
        var parser = BenchReplyParser(.lm)
        var events: [ReplyEvent] = []
        var waiting: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            waiting += bytes[start..<min(start + step, bytes.count)]
            var consumed = 0
            while let event = try unsafe parser.next(waiting.span.bytes, consumed: &consumed) {
                // How a payload is cut is not of interest.
                if case .bulkPiece = event { continue }
                events.append(event)
            }
            waiting.removeFirst(consumed)
        }
        #expect(waiting.isEmpty && parser.isBetweenReplies)
        return events
    }

    @Test(
        "a put is its header, its payload and the question whether the key is there",
        arguments: [1, 185, 1_000]
    )
    func put(step: Int) {
        let workload = workload(.set)
        let request = workload.request(2)
        let sent = bytes(request.message, step: step)
        #expect(sent.count == 186 + 100 + 186)
        #expect(Array(sent[0..<8]) == [1, 0, 0, 0, 100, 0, 0, 0])
        #expect(String(decoding: sent[36..<186], as: UTF8.self).hasPrefix("bench-r@1@0@3@bfloat16   "))
        #expect(unsafe Array(sent[186..<286]) == Array(workload.payloads.payload(2)))
        #expect(Array(sent[286..<294]) == [3, 0, 0, 0, 0, 0, 0, 0])
        #expect(request.replyCount == 1)
    }

    @Test("a get of two keys is two headers")
    func get() {
        let sent = bytes(workload(.get, batch: 2).request(1).message, step: 1_000)
        #expect(sent.count == 2 * 186)
        #expect(sent[0] == 2 && sent[186] == 2)
    }

    @Test("replies are told apart by code and length, however they are cut", arguments: [1, 7, 36, 4_096])
    func replies(step: Int) throws {
        let stream = reply(200, 5) + Array("hello".utf8) + reply(400, 0) + reply(200, 0)
        #expect(
            try events(stream, step: step) == [.bulkBegins(byteCount: 5), .bulkEnds, .null, .integer(1)]
        )
    }

    @Test("payload bytes that were received elsewhere are counted")
    func elsewhere() throws {
        var parser = BenchReplyParser(.lm)
        var consumed = 0
        let header = reply(200, 100)
        #expect(try unsafe parser.next(header.span.bytes, consumed: &consumed) == .bulkBegins(byteCount: 100))
        #expect(consumed == 36 && parser.bulkRemainingByteCount == 100)
        parser.receivedBulkBytes(100)
        let nothing: [UInt8] = []
        consumed = 0
        #expect(try unsafe parser.next(nothing.span.bytes, consumed: &consumed) == .bulkEnds)
        #expect(parser.isBetweenReplies)
    }

    @Test("what is no reply of the protocol is refused", arguments: [(7, 0), (200, -1)])
    func garbage(code: Int32, byteCount: Int32) {
        #expect(throws: ReplyProtocolError.self) { _ = try events(reply(code, byteCount), step: 36) }
    }

    @Test("addresses name the protocol")
    func targets() {
        #expect(BenchTarget("lm:127.0.0.1:65432")?.dialect == .lm)
        #expect(BenchTarget("lm:127.0.0.1:65432")?.description == "lm:127.0.0.1:65432")
        #expect(BenchTarget("127.0.0.1:1")?.dialect == .resp)
        #expect(BenchTarget("unix:/s")?.endpoint == .unix(path: "/s"))
        #expect(BenchTarget("lm:") == nil)
    }
}
