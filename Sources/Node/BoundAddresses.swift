/// Where a started node listens.
package struct BoundAddresses: Sendable, Hashable {
    /// Address of the RESP listener, without the port.
    package var host: String?
    /// Port of the RESP listener.
    package var port: Int?
    /// Path of the Unix socket.
    package var unixPath: String?
    /// Port of the lm:// listener.
    package var lmPort: Int?
    /// Port that publishes KV events.
    package var eventsPort: Int?
    /// Port that repeats KV events.
    package var eventsReplayPort: Int?
    /// Port of the control plane.
    package var controlPort: Int?

    /// Creates the value.
    package init(host: String? = nil, port: Int? = nil, unixPath: String? = nil, lmPort: Int? = nil) {
        self.host = host
        self.port = port
        self.unixPath = unixPath
        self.lmPort = lmPort
    }
}
