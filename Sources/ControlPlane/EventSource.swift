package import Blocks
package import KVEvents

/// Where subscribers get events from: each tenant's, numbered from 1 on.
package protocol EventSource: Sendable {
    /// Another number for each start of the node.
    var run: UInt64 { get }
    /// The number of a tenant's last event; 0 before the first.
    func lastSequence(of tenant: Tenant) -> UInt64
    /// A tenant's event of a number, waited for when it is the next one.
    ///
    /// - Throws: `dataLoss` when it is not kept any more or was never told; `unavailable` when the node stops.
    func event(_ sequence: UInt64, of tenant: Tenant) async throws -> NumberedEvent
    /// What is announced of a tenant's blocks, after all events so far.
    func snapshot(of tenant: Tenant) async throws -> EventSnapshot
}

/// An event with its number.
package struct NumberedEvent: Sendable {
    package let sequence: UInt64
    package let unixMilliseconds: UInt64
    package let namespace: NamespaceID
    package let event: KVEvent
}

/// What was announced at one moment.
package struct EventSnapshot: Sendable {
    /// The number of the last event before it.
    package let sequence: UInt64
    /// The announced blocks by namespace; copies that share their memory with what they were taken from.
    package let namespaces: [(id: NamespaceID, blocks: AnnouncedBlocks)]
}
