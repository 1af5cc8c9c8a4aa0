internal import ArgumentParser
internal import LarderClient

/// Where a measured server listens, and what it speaks there: `HOST:PORT`, `unix:PATH`, `lm:HOST:PORT`.
struct BenchTarget: Hashable, Sendable, CustomStringConvertible {
    let endpoint: LarderEndpoint
    let dialect: BenchDialect

    private static let lmPrefix = "lm:"

    /// Reads an address as the command line writes it.
    init?(_ text: String) {
        let isLM = text.hasPrefix(Self.lmPrefix)
        guard let endpoint = LarderEndpoint(isLM ? String(text.dropFirst(Self.lmPrefix.count)) : text) else {
            return nil
        }
        self.init(endpoint, isLM ? .lm : .resp)
    }

    init(_ endpoint: LarderEndpoint, _ dialect: BenchDialect = .resp) {
        self.endpoint = endpoint
        self.dialect = dialect
    }

    /// As it was written.
    var description: String { (dialect == .lm ? Self.lmPrefix : "") + endpoint.description }
}

extension BenchTarget: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }
}
