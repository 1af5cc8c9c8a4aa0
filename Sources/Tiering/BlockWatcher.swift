package import Blocks

/// Hears which blocks of described namespaces come and go, to tell others.
///
/// Called on the threads that make the changes, after them, outside all locks: it notes and returns. A note says that
/// something has changed, not what is true now; ``BlockStore/residence(of:)`` does.
package protocol BlockWatcher: Sendable {
    /// A described namespace is in use, for the first time or again; called before anything arrives in it.
    func opened(_ space: KeySpace)
    /// A block can be read that could not before.
    ///
    /// - Parameters:
    ///   - identity: Which block.
    ///   - key: Its key.
    ///   - predecessor: The key before it in its chain, if the client has shown it.
    func arrived(_ identity: BlockIdentity, key: [UInt8], after predecessor: [UInt8]?)
    /// Blocks have come to a tier or left one.
    func changed(_ identities: [BlockIdentity])
}
