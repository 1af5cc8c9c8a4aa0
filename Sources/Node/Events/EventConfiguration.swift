package import KVEvents

/// How a node tells routers what it holds, and the bounds of that.
package struct EventConfiguration: Sendable {
    /// Address that both sockets bind; their peers give no name and no password.
    package var host = "127.0.0.1"
    /// Port of the PUB socket; 0 takes a free one.
    package var port: Int
    /// Port of the ROUTER socket that repeats messages; 0 takes a free one, `nil` opens none.
    package var replayPort: Int?
    /// How events are laid out.
    package var dialect = EventDialect.map
    /// How block hashes are written.
    package var hashForm = HashForm.bytes
    /// The node's name in topics.
    package var podID: String
    /// E1: changes noted and not yet told; more are dropped, counted, and found again by comparing all that was told.
    package var noteCountMax = 100_000
    /// E2: blocks announced at a time, some 110 to 220 bytes each; more are not announced, and counted.
    package var announcedBlockCountMax = 1_000_000
    /// E3: messages that can be repeated.
    package var replayCountMax = 10_000
    /// E3: bytes of the messages that can be repeated.
    package var replayByteCountMax = 32 << 20
    /// E4: peers of both sockets together; one more is closed at once.
    package var peerCountMax = 64
    /// E5: bytes that wait for one subscriber; messages beyond are dropped for it alone, and counted.
    package var subscriberByteCountMax = 4 << 20
    /// E6: topics that one subscriber asks for.
    package var subscriptionCountMax = 256
    /// E7: requests to repeat that wait at one peer.
    package var replayRequestCountMax = 16
    /// E8: time for a peer to finish its handshake.
    package var handshakeTimeout: Duration = .seconds(5)
    /// E9: time after which a subscriber that takes nothing while messages are dropped for it is cut.
    package var stallTimeout: Duration = .seconds(30)
    /// What one frame of a peer may be.
    package var peer = ZMTPLimits()
    /// How long changes are gathered before they are told.
    package var gatheringTime: Duration = .milliseconds(2)

    /// Least pause between two surveys of all namespaces that make up for dropped notes.
    package var surveyPause: Duration = .seconds(10)

    /// Creates the defaults.
    package init(port: Int, podID: String) {
        self.port = port
        self.podID = podID
    }
}
