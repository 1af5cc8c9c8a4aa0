/// Every bound that the control plane lives under, with its default; what passes one is refused with a message.
package struct ControlLimits: Sendable {
    /// C1: connections at a time; one more closes the oldest that no user has made a call on, or is closed itself.
    package var connectionCountMax = 64
    /// C1: time for the first call on a new connection.
    package var firstCallTimeout: Duration = .seconds(5)
    /// C1: bytes read from a connection before a call on it was allowed, or since the last health check on it ended.
    package var strangerByteCountMax = 64 << 10
    /// C1: wrong passwords after which a connection is closed, and the time that the last answer has to leave.
    package var authenticationFailureCountMax = 5
    package var closingDelay: Duration = .seconds(1)
    /// C2: calls at a time on one connection; clients wait for more.
    package var callsPerConnectionMax = 100
    /// C2: calls of known callers at a time on all connections.
    package var callCountMax = 256
    /// C2: calls at a time of one user, on a node with users.
    package var callsPerUserMax = 128
    /// C2: calls at a time whose passwords are being checked; one more ends the oldest of the address with most.
    package var authenticatingCallCountMax = 64
    /// C2: health checks at a time; one more ends the oldest of the connection with most.
    package var healthCheckCountMax = 32
    /// C2: health watches at a time, and of one connection.
    package var healthWatchCountMax = 16
    package var healthWatchesPerConnectionMax = 2
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
    /// C6: time from a call's headers to its first message, in which its password is checked as well.
    package var firstMessageTimeout: Duration = .seconds(10)
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
    /// How long the answer to a wrong password is held back; up to 16 times as long when the address has failed often.
    package var refusalDelay: Duration = .milliseconds(250)

    /// Creates the defaults.
    package init() {}
}
