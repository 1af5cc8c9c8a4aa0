/// Why a peer is cut: it does not speak ZMTP 3, or not within the limits.
package struct ZMTPError: Error, Hashable {
    /// What it did.
    package let message: String

    init(_ message: String) {
        self.message = message
    }
}
