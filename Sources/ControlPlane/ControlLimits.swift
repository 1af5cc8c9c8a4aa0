/// Every bound that the control plane lives under, with its default; what passes one is refused with a message.
package struct ControlLimits: Sendable {
    /// C1: connections at a time; one more is closed at once.
    package var connectionCountMax = 64
    /// C2: calls at a time on one connection; clients wait for more.
    package var callsPerConnectionMax = 100
    /// C2: calls at a time on all connections.
    package var callCountMax = 256
    /// C3: bytes of one message.
    package var messageByteCountMax = 2 << 20
    /// C4: keys of one call.
    package var keyCountMax = 16_384
    /// C4: tokens of one call.
    package var tokenCountMax = 524_288
    /// C5: puts and gets of blocks at a time.
    package var transferCountMax = 32
    /// C5: bytes of the blocks that are being put at a time; one alone may be larger.
    package var putByteCountMax = 256 << 20
    /// C5: bytes of one piece of a payload, in either direction.
    package var pieceByteCountMax = 1 << 20
    /// C6: time that a client may neither send what is waited for nor take what is sent.
    package var idleTimeout: Duration = .seconds(30)
    /// C7: longest calls, by what they do.
    package var unaryTimeout: Duration = .seconds(10)
    package var transferTimeout: Duration = .seconds(300)
    package var warmTimeout: Duration = .seconds(600)
    package var drainTimeout: Duration = .seconds(3_600)
    /// C8: subscribers to events at a time, and those of them that are being told a snapshot.
    package var subscriberCountMax = 64
    package var snapshotCountMax = 2
    /// C8: namespaces that one subscriber names.
    package var subscribedNamespaceCountMax = 256
    /// C9: events that can be repeated, for each tenant.
    package var replayCountMax = 4_096
    package var replayByteCountMax = 8 << 20
    /// How long the answer to a wrong password is held back.
    package var refusalDelay: Duration = .milliseconds(250)

    /// Creates the defaults.
    package init() {}
}
