/// How events are laid out in MessagePack.
package enum EventDialect: String, CaseIterable, Sendable {
    /// Maps with a `type`, as vLLM publishes them since it has groups of KV caches.
    case map
    /// Arrays that begin with the type, as vLLM published them before.
    case array
}

/// How block hashes are written.
package enum HashForm: String, CaseIterable, Sendable {
    /// All bytes.
    case bytes
    /// The low 64 bits as a number, which is what vLLM does unless it is told not to.
    case int64
}

/// Where a block lies, in the words that routers weigh.
package struct EventMediums: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    /// Wraps bits.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The RAM tier: `CPU`.
    package static let memory = EventMediums(rawValue: 1)
    /// The disk tier: `STORAGE`.
    package static let disk = EventMediums(rawValue: 2)

    /// The single mediums, the slower first: a block that moves is announced where it went before it is taken back
    /// where it was.
    static let all: [EventMediums] = [.disk, .memory]

    /// The medium's word; of a single medium.
    package var word: String { self == .memory ? "CPU" : "STORAGE" }
}
