internal import Blocks
internal import RESP
internal import Tiering

/// What a connection has told about itself so far.
struct Session {
    /// Who is asking; `nil` until authenticated, on a node with users.
    var user: User?
    /// The protocol version of replies.
    var version = ProtocolVersion.two
    /// Whether HELLO was ever sent: LMCache's native client, which needs special care, never does.
    var saidHello = false
    /// The selected database.
    var database = 0
    /// CLIENT SETNAME.
    var name = ""
    /// CLIENT SETINFO lib-name and lib-ver.
    var libraryName = ""
    var libraryVersion = ""
    /// CLIENT REPLY.
    var replies = ReplyMode.on
    /// Failed AUTH attempts of the connection; RESET leaves them.
    var failedAuthenticationCount = 0

    /// The node of the cluster that the connection belongs to, once it has proved itself.
    var peer: String?
    /// The proof under way with a node that wants to be believed.
    var greeting: PeerGreeting?

    /// What a caller said that wants to be believed a node of the cluster.
    struct PeerGreeting {
        let name: String
        let nonce: [UInt8]
        let ownNonce: [UInt8]
    }

    /// CLIENT REPLY's modes; `skipNext` mutes the command after the one that asked for it.
    enum ReplyMode { case on, off, skipNext, skip }
}
