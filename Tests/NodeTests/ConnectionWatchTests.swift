import Testing

@testable import Node

@Suite("A connection is watched")
struct ConnectionWatchTests {
    private let tick = Duration.milliseconds(250)

    /// The time after which a connection that always looks like this is cut, or `nil` within a minute.
    private func cut(
        _ progress: ConnectionProgress,
        limits: ConnectionLimits = ConnectionLimits(),
        waiting: Int = 0,
        sentPerLook: UInt64 = 0,
        receivedPerLook: UInt64 = 0
    ) -> (after: Duration, ConnectionWatch.Verdict)? {
        var watch = ConnectionWatch(limits: limits)
        var progress = progress
        var sent: UInt64 = 0
        for look in 1...240 {
            sent += sentPerLook
            progress.receivedByteCount += receivedPerLook
            if let verdict = watch.look(after: tick, progress, sentByteCount: sent, waitingByteCount: waiting)
            {
                return (tick * look, verdict)
            }
        }
        return nil
    }

    @Test("and left alone while idle, by default")
    func idle() {
        #expect(cut(ConnectionProgress()) == nil)
        var limits = ConnectionLimits()
        limits.idleTimeout = .seconds(3)
        let verdict = cut(ConnectionProgress(), limits: limits)
        #expect(verdict?.1 == .idle)
        #expect(verdict?.after == .seconds(3))
    }

    @Test("and cut when it does not authenticate in time")
    func handshake() {
        let verdict = cut(ConnectionProgress(isHandshaking: true))
        #expect(verdict?.1 == .handshake)
        #expect(verdict?.after == .seconds(2))
        let checked = cut(ConnectionProgress(isHandshaking: true, isWorking: true))
        #expect(checked?.1 == .handshake)
        #expect(checked?.after == .seconds(10), "our own check takes its time, but not for ever")
    }

    @Test("and cut when a request stops arriving, a second into it")
    func stalledSender() {
        let verdict = cut(ConnectionProgress(isReceiving: true))
        #expect(verdict?.1 == .slowSender)
        let after = verdict?.after ?? .zero
        #expect(after > .seconds(1))
        #expect(after < .seconds(2))
    }

    @Test("and cut when a request arrives below the least rate, but not at it")
    func slowSender() {
        let quarter = UInt64(ConnectionLimits().frameBytesPerSecondMin) / 4
        #expect(cut(ConnectionProgress(isReceiving: true), receivedPerLook: quarter / 2)?.1 == .slowSender)
        #expect(cut(ConnectionProgress(isReceiving: true), receivedPerLook: quarter) == nil)
    }

    @Test("and a fast sender may pause, but not for long")
    func pause() {
        var watch = ConnectionWatch(limits: ConnectionLimits())
        var progress = ConnectionProgress(isReceiving: true, receivedByteCount: 1 << 30)
        #expect(watch.look(after: tick, progress, sentByteCount: 0, waitingByteCount: 0) == nil)
        var elapsed = Duration.zero
        while watch.look(after: tick, progress, sentByteCount: 0, waitingByteCount: 0) == nil,
            elapsed < .seconds(60)
        {
            elapsed += tick
        }
        #expect(elapsed > .seconds(9))
        #expect(elapsed < .seconds(12))
        progress.isWorking = true
        progress.isReceiving = false
        #expect(watch.look(after: tick, progress, sentByteCount: 0, waitingByteCount: 0) == nil)
    }

    @Test("and cut when it takes nothing of what waits for 10 s")
    func slowReader() {
        let verdict = cut(ConnectionProgress(), waiting: 100)
        #expect(verdict?.1 == .slowReader)
        #expect(verdict?.after == .seconds(10))
        #expect(cut(ConnectionProgress(), waiting: 100, sentPerLook: 1) == nil)
    }

    @Test("and not blamed for a time in which the node itself stood still")
    func nodeStopped() {
        var watch = ConnectionWatch(limits: ConnectionLimits())
        let progress = ConnectionProgress(isReceiving: true, receivedByteCount: 100)
        #expect(watch.look(after: .seconds(3600), progress, sentByteCount: 0, waitingByteCount: 10) == nil)
    }
}
