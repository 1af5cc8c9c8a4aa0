/// What a peer may send; a node's peers send subscriptions and numbers, nothing long.
package struct ZMTPLimits: Sendable, Hashable {
    /// Bytes of one frame.
    package var frameByteCountMax = 4 << 10
    /// Frames of one message.
    package var frameCountMax = 8

    /// The defaults.
    package init() {}
}
