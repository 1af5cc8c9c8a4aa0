/// The order in which a request's missing blocks are put.
package enum PutOrder: String, CaseIterable, Sendable {
    /// Last block first, which leaves first blocks the newest; how published figures are made.
    case tailFirst = "tail-first"
    /// First block first, as engines put what they computed.
    case headFirst = "head-first"
}
