/// The policies that there are, by the names that people choose them with.
package enum EvictionPolicyName: String, CaseIterable, Sendable {
    /// Forecast of each block's next use, see `ForecastPolicy`.
    case forecast
    /// Least recently used, see `LRUPolicy`.
    case lru
    /// See `SievePolicy`.
    case sieve
    /// See `S3FIFOPolicy`.
    case s3FIFO = "s3-fifo"
    /// See `WTinyLFUPolicy`.
    case wTinyLFU = "w-tinylfu"
}

extension EvictionPolicyName {
    /// All names, for people.
    package static var list: String {
        allCases.map { $0.rawValue }.joined(separator: ", ")
    }

    /// An empty policy of this name.
    package func makePolicy(slotCount: Int) -> any EvictionPolicy {
        switch self {
        case .forecast: ForecastPolicy(slotCount: slotCount)
        case .lru: LRUPolicy(slotCount: slotCount)
        case .sieve: SievePolicy(slotCount: slotCount)
        case .s3FIFO: S3FIFOPolicy(slotCount: slotCount)
        case .wTinyLFU: WTinyLFUPolicy(slotCount: slotCount)
        }
    }
}
