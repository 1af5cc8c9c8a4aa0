internal import Glibc

/// How often passwords from each address were wrong lately. Pure: the time is given.
struct AddressFailures {
    private struct Record {
        var count: Int
        var latest: ContinuousClock.Instant
    }

    private var records: [String: Record] = [:]
    private let addressCountMax: Int
    private let memory: Duration

    /// Failures of an address after which the answers to its further ones are held back twice as long.
    static let failuresPerStep = 8
    /// Most times that the delay is doubled.
    static let stepCountMax = 4

    /// - Parameters:
    ///   - addressCountMax: most addresses that are remembered; the one whose last failure is longest ago is forgotten.
    ///   - memory: time after the last failure after which an address is forgotten.
    init(addressCountMax: Int, memory: Duration) {
        self.addressCountMax = addressCountMax
        self.memory = memory
    }

    /// Failures of an address that are remembered.
    func count(of address: String, at now: ContinuousClock.Instant) -> Int {
        guard let record = records[address], now - record.latest < memory else { return 0 }
        return record.count
    }

    /// How many times longer than usual the answer to a failure is held back: 1 to 16.
    func delayFactor(of address: String, at now: ContinuousClock.Instant) -> Int {
        1 << min(Self.stepCountMax, count(of: address, at: now) / Self.failuresPerStep)
    }

    /// Counts a failure.
    mutating func record(_ address: String, at now: ContinuousClock.Instant) {
        let count = count(of: address, at: now)
        if records[address] == nil, records.count >= addressCountMax {
            records = records.filter { now - $0.value.latest < memory }
            if records.count >= addressCountMax,
                let oldest = records.min(by: { $0.value.latest < $1.value.latest })
            {
                records[oldest.key] = nil
            }
        }
        records[address] = Record(count: min(count, .max - 1) + 1, latest: now)
    }

    /// The address that failures are counted by: an IPv4 address without its port, the first 64 bits of an IPv6 address,
    /// and any other text as it is.
    static func key(_ endpoint: String) -> String {
        var host = Substring(endpoint)
        for prefix in ["ipv4:", "ipv6:"] where host.hasPrefix(prefix) { host = host.dropFirst(prefix.count) }
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            host = host[host.index(after: host.startIndex)..<end]
        } else if let colon = host.lastIndex(of: ":"), host.filter({ $0 == ":" }).count == 1 {
            host = host[..<colon]
        }
        var bytes = [UInt8](repeating: 0, count: 16)
        // SAFETY: inet_pton writes the 16 bytes of an IPv6 address, or none.
        guard unsafe inet_pton(AF_INET6, String(host), &bytes) == 1 else { return String(host) }
        let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff
        let part = isMapped ? bytes[12...] : bytes.prefix(8)
        return part.map { String($0, radix: isMapped ? 10 : 16) }.joined(separator: isMapped ? "." : ":")
    }
}
