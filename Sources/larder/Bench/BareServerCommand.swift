internal import ArgumentParser
internal import Foundation

/// `larder bench bare`.
struct BareServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bare",
        abstract: "Serve GET and SET from memory by bare sockets: what this machine could give at best.",
        discussion: """
            A thread for each connection, values as they were received, no checksums, leases, eviction, users or \
            limits: an upper bound to compare servers with, and nothing to keep data in. It knows PING, GET, SET, \
            EXISTS and DEL in RESP2, listens on loopback only, and takes reno as congestion control, as a node does \
            for connections from its own host. Ctrl-C ends it.

              larder bench bare --port 7400
              larder bench --op get,set --versus 127.0.0.1:7400
            """
    )

    @Option(
        help: ArgumentHelp("TCP port on 127.0.0.1; 0 takes a free one and says which.", valueName: "number")
    )
    var port: UInt16 = 7400

    func run() throws {
        let server = try BareServer(port: port)
        StandardStreams.error("listening on 127.0.0.1:\(server.port)")
        try server.run()
    }
}
