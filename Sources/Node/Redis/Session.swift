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
    /// Failed AUTH attempts.
    var failedAuthenticationCount = 0

    /// CLIENT REPLY's modes; `skipNext` mutes the command after the one that asked for it.
    enum ReplyMode { case on, off, skipNext, skip }
}
