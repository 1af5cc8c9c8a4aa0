/// What came of opening the database anew after a failed change of it.
package struct DiskReopening: Sendable, Hashable {
    /// Time for which reading had to wait, seconds.
    package var seconds = 0.0
    /// Where the database was moved because it could not be used any more; the tier goes on empty then.
    package var setAsidePath: String?
    /// Why it could not be used.
    package var setAsideReason: String?

    /// Creates a report of nothing.
    package init() {}
}
