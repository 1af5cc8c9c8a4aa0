/// Why a block left the memory tier.
package enum RemovalReason: Int, Sendable, CaseIterable {
    /// The eviction policy chose it to make room.
    case evicted
    /// Its time was over.
    case expired
    /// A client deleted it.
    case deleted
    /// Its namespace was cleared.
    case cleared
    /// Another payload took its key.
    case replaced
    /// Its bytes failed their checksum.
    case corrupt
}
