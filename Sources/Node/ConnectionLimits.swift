internal import Blocks
package import RESP

/// Every bound a connection lives under, with its name and default; what passes one is refused or cut, and counted.
package struct ConnectionLimits: Sendable, Hashable {
    /// N1: most connections of all listeners together; one more is told so and closed.
    package var connectionCountMax = 10_000
    /// N2: what one request may be: arguments, bulk length, line length, collected bytes.
    package var request = RequestLimits()
    /// N2: most keys of one command.
    package var batchKeyCountMax = Limits.batchKeyCountMax
    /// N2: most blocks with payload of one command.
    package var batchBlockCountMax = Limits.batchBlockCountMax
    /// N3: bytes received and not yet parsed that a connection may hold while a command of its waits.
    package var inputByteCountMax = 1 << 20
    /// N3: bytes waiting to be sent above which a connection's next command is not begun.
    package var outputByteCountHigh = 4 << 20
    /// N3: bytes waiting to be sent below which commands are begun again.
    package var outputByteCountLow = 1 << 20
    /// N4: time for a new connection to send what authenticates it, when the node has users; checks do not count.
    package var handshakeTimeout: Duration = .seconds(2)
    /// N4: time for a new connection to authenticate, in which the checks of its passwords count as well.
    package var authenticationTimeout: Duration = .seconds(10)
    /// N4: time without a request after which a connection is closed; zero is never.
    ///
    /// Never is the default because LMCache's native client cannot connect again; dead peers are found by TCP
    /// keepalive in about 30 s.
    package var idleTimeout: Duration = .zero
    /// N4: time a request may take to arrive before its rate is looked at.
    package var frameGrace: Duration = .seconds(1)
    /// N4: least bytes per second at which a request must arrive after the grace.
    package var frameBytesPerSecondMin = 64 << 10
    /// N4: longest time in which a payload must arrive: its least rate grows with the memory that is kept for it.
    package var payloadTimeout: Duration = .seconds(60)
    /// N3: bytes of copied replies that all connections together may have waiting to be sent.
    package var replyByteCountMax = 96 << 20
    /// The share of memory that payloads which are being received may hold of one tenant, and of one connection, of 1, while
    /// others receive some too.
    package var receivingShareMax = 0.25
    /// N4: longest pause that a sender can earn by having sent faster than the least rate.
    package var frameCreditMax: Duration = .seconds(10)
    /// N5: time without progress after which a client that does not read its replies is cut.
    package var slowReaderTimeout: Duration = .seconds(10)
    /// Most failed AUTH attempts of one connection.
    package var authenticationFailureCountMax = 5
    /// How long the answer to a failed AUTH is held back.
    package var authenticationFailureDelay: Duration = .milliseconds(250)
    /// Most blocks that a connection may have reserved to write in place and not committed yet.
    package var reservationCountMax = 4_096
    /// The share of memory that such reservations of all connections may hold, of 1.
    package var reservedShareMax = 0.25
    /// How long a put waits for space or for the write-behind queue before it is refused.
    package var spaceTimeout: Duration = .seconds(2)

    /// Creates the defaults.
    package init() {}
}
