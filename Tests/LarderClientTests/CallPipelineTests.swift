import RESP
import Synchronization
import Testing

@testable import LarderClient

@Suite("Call pipeline")
struct CallPipelineTests {
    /// Outcomes by the name of the call, in the order they came.
    private final class Log: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    private let log = Log()

    private func call(_ name: String, at now: UInt64 = 0, timeout: UInt64, isGreeting: Bool = false) -> Call {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 1)
        encoder.append(name)
        return Call(
            encoder.finish(),
            receiver: TreeReceiver(),
            now: now,
            timeout: timeout,
            isGreeting: isGreeting
        ) { [log] result in
            switch result {
            case .success: log.add("\(name) answered")
            case .failure(let error): log.add("\(name) \(error.code)")
            }
        }
    }

    /// Sends the next call, whole unless a number of bytes is given.
    private func send(_ pipeline: inout CallPipeline, at now: UInt64, byteCount: Int = .max) throws {
        let call = try #require(pipeline.callToSend)
        unsafe call.request.sendNext(&call.progress, countMax: 8) { pieces in
            min(byteCount, unsafe pieces.map { $0.count }.reduce(0, +))
        }
        pipeline.sent(at: now)
    }

    @Test("replies go to the calls in the order they were sent")
    func order() throws {
        var pipeline = CallPipeline()
        for name in ["a", "b"] { pipeline.add(call(name, timeout: 100)) }
        try send(&pipeline, at: 1)
        try send(&pipeline, at: 1)
        #expect(pipeline.callToSend == nil)
        pipeline.headAnswered(at: 2)
        pipeline.headAnswered(at: 3)
        #expect(log.all == ["a answered", "b answered"])
        #expect(pipeline.isEmpty)
    }

    @Test("greetings go first, in their own order, but not into the middle of a request")
    func greetings() throws {
        var pipeline = CallPipeline()
        pipeline.add(call("a", timeout: 100))
        pipeline.add(call("b", timeout: 100))
        try send(&pipeline, at: 0, byteCount: 3)
        pipeline.addGreeting(call("hello", timeout: 100, isGreeting: true))
        pipeline.addGreeting(call("describe", timeout: 100, isGreeting: true))
        for _ in 0..<4 { try send(&pipeline, at: 0) }
        for _ in 0..<4 { pipeline.headAnswered(at: 1) }
        #expect(log.all == ["a answered", "hello answered", "describe answered", "b answered"])
    }

    @Test("a head that had its time closes the connection, silently or not")
    func headTimesOut() throws {
        for (receivedAt, failure) in [(nil, CircuitBreaker.Failure.silent), (90 as UInt64?, .failed)] {
            var pipeline = CallPipeline()
            pipeline.add(call("a", timeout: 100))
            try send(&pipeline, at: 5)
            if let receivedAt { pipeline.received(at: receivedAt) }
            #expect(pipeline.expire(at: 99) == .keep)
            #expect(pipeline.nextDeadline == 100)
            #expect(pipeline.expire(at: 100) == .close(failure))
        }
        #expect(log.all == ["a timedOut", "a timedOut"])
    }

    @Test(
        "a call that only waited behind another is abandoned; its reply is read over and the connection stays"
    )
    func waitingTimesOut() throws {
        var pipeline = CallPipeline()
        pipeline.add(call("slow", timeout: 1_000))
        pipeline.add(call("impatient", timeout: 50))
        try send(&pipeline, at: 0)
        try send(&pipeline, at: 0)
        #expect(pipeline.expire(at: 50) == .keep)
        #expect(log.all == ["impatient timedOut"])
        pipeline.headAnswered(at: 60)
        #expect(pipeline.head?.isAbandoned == true)
        #expect(pipeline.nextDeadline == 110)
        #expect(pipeline.expire(at: 109) == .keep)
        pipeline.headAnswered(at: 109)
        #expect(pipeline.isEmpty)
        #expect(log.all == ["impatient timedOut", "slow answered"])
    }

    @Test("an abandoned call that then has its whole time as the head closes the connection")
    func abandonedHead() throws {
        var pipeline = CallPipeline()
        pipeline.add(call("slow", timeout: 1_000))
        pipeline.add(call("impatient", timeout: 50))
        try send(&pipeline, at: 0)
        try send(&pipeline, at: 0)
        #expect(pipeline.expire(at: 50) == .keep)
        pipeline.headAnswered(at: 60)
        #expect(pipeline.expire(at: 110) == .close(.silent))
    }

    @Test("a head that came late to its turn gets the rest of its time before the connection is given up")
    func lateHead() throws {
        var pipeline = CallPipeline()
        pipeline.add(call("slow", timeout: 1_000))
        pipeline.add(call("next", timeout: 100))
        try send(&pipeline, at: 0)
        try send(&pipeline, at: 0)
        pipeline.headAnswered(at: 95)
        #expect(pipeline.expire(at: 100) == .keep)
        #expect(log.all == ["slow answered", "next timedOut"])
        #expect(pipeline.expire(at: 195) == .close(.silent))
    }

    @Test(
        "a call that is not sent yet is dropped at its deadline, and one that is sent in part closes the connection"
    )
    func sending() throws {
        var pipeline = CallPipeline()
        pipeline.add(call("big", timeout: 100))
        pipeline.add(call("waiting", timeout: 10))
        try send(&pipeline, at: 0, byteCount: 3)
        #expect(pipeline.expire(at: 10) == .keep)
        #expect(log.all == ["waiting timedOut"])
        try send(&pipeline, at: 90, byteCount: 1)
        #expect(pipeline.expire(at: 100) == .close(.failed))
        #expect(log.all == ["waiting timedOut", "big timedOut"])
    }

    @Test("a lost connection ends the calls that were sent, and keeps the others")
    func lost() throws {
        var pipeline = CallPipeline()
        pipeline.add(call("sent", timeout: 100))
        pipeline.add(call("waiting", timeout: 100))
        try send(&pipeline, at: 0)
        pipeline.failSent(.connectionLost)
        #expect(log.all == ["sent unreachable"])
        #expect(pipeline.callToSend != nil)
        pipeline.failAll(.connectionLost)
        #expect(log.all == ["sent unreachable", "waiting unreachable"])
        #expect(pipeline.isEmpty)
    }
}
