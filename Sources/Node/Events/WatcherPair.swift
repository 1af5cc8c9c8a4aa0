internal import Blocks
internal import Tiering

/// Tells two watchers of the same store.
struct WatcherPair: BlockWatcher {
    let first: any BlockWatcher
    let second: any BlockWatcher

    /// One watcher for all there are.
    static func joining(_ watchers: [(any BlockWatcher)?]) -> (any BlockWatcher)? {
        watchers.compactMap { $0 }
            .reduce(nil as (any BlockWatcher)?) { joined, watcher in
                joined.map { WatcherPair(first: $0, second: watcher) } ?? watcher
            }
    }

    func opened(_ space: KeySpace) {
        first.opened(space)
        second.opened(space)
    }

    func arrived(_ identity: BlockIdentity, key: [UInt8], after predecessor: [UInt8]?) {
        first.arrived(identity, key: key, after: predecessor)
        second.arrived(identity, key: key, after: predecessor)
    }

    func changed(_ identities: [BlockIdentity]) {
        first.changed(identities)
        second.changed(identities)
    }
}
