/// Why a block left the disk tier.
package enum DiskRemovalReason: Sendable, CaseIterable {
    /// Its segment was the oldest and room was needed.
    case evicted
    /// Its time was over.
    case expired
    /// It was deleted by its key.
    case deleted
    /// Its namespace was cleared.
    case cleared
    /// A newer block of the same key was written.
    case replaced
    /// Its bytes could not be read or failed a check.
    case corrupt
}
