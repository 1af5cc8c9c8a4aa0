internal import Blocks
internal import Synchronization

/// How long a hit's header line would have been, for keys of LMCache's native client in its multi-process mode.
///
/// That client reads exactly the length of `$<n>\r\n` as a GET's header and hangs for ever on the shorter `$-1\r\n`. A
/// nil padded with zeros to that length marks the key as missing and keeps the client in step. `n` is the length last
/// stored under the same model, rank and group; the table remembers a bounded number of those for each tenant.
final class PaddedNilTable: Sendable {
    fileprivate struct Group: Hashable {
        var database: Int
        var prefix: [UInt8]
    }

    fileprivate struct Share {
        var lengths: [Group: Int] = [:]
        var order: [Group] = []
        var oldest = 0
        /// When the tenant stored last, counted in stores.
        var usedAt: UInt64 = 0
    }

    private struct State {
        var shares: [Tenant: Share] = [:]
        var storeCount: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Most groups of one tenant remembered; the oldest is forgotten first.
    static let groupCountMax = 1024
    /// Most tenants remembered; the one that stored longest ago is forgotten first.
    static let tenantCountMax = 256

    /// Remembers the length of a value of `key`, when the key is of that kind.
    func record(_ key: [UInt8], tenant: Tenant, database: Int, byteCount: Int) {
        guard let prefix = LMCacheKey.groupPrefix(of: key) else { return }
        let group = Group(database: database, prefix: prefix)
        state.withLock { state in
            if state.shares[tenant] == nil, state.shares.count >= Self.tenantCountMax,
                let oldest = state.shares.min(by: { $0.value.usedAt < $1.value.usedAt })
            {
                state.shares[oldest.key] = nil
            }
            state.storeCount &+= 1
            let now = state.storeCount
            state.shares[tenant, default: Share()].record(group, byteCount, at: now)
        }
    }

    /// The reply to a miss of `key`, or `nil` when a plain one is right.
    func reply(_ key: [UInt8], tenant: Tenant, database: Int) -> String? {
        guard let prefix = LMCacheKey.groupPrefix(of: key) else { return nil }
        let group = Group(database: database, prefix: prefix)
        guard let byteCount = state.withLock({ $0.shares[tenant]?.lengths[group] }) else { return nil }
        let digits = String(byteCount).utf8.count
        guard digits >= 2 else { return nil }
        return "$-" + String(repeating: "0", count: digits - 2) + "1\r\n"
    }
}

extension PaddedNilTable.Share {
    fileprivate mutating func record(_ group: PaddedNilTable.Group, _ byteCount: Int, at now: UInt64) {
        usedAt = now
        guard lengths.updateValue(byteCount, forKey: group) == nil else { return }
        if order.count < PaddedNilTable.groupCountMax {
            order.append(group)
        } else {
            lengths[order[oldest]] = nil
            order[oldest] = group
            oldest = (oldest + 1) % PaddedNilTable.groupCountMax
        }
    }
}

/// The key strings of LMCache's multi-process mode: `model@RRRRRRRR@group@HASH[@salt]`.
enum LMCacheKey {
    /// No such key is shorter, bytes: two separators, rank, group and hash.
    static let byteCountMin = 8 + 1 + 1 + 1 + 64

    /// Everything before the 64-digit chunk hash, or `nil` when the key is not of that form.
    static func groupPrefix(of key: [UInt8]) -> [UInt8]? {
        let parts = key.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        for hashIndex in [parts.count - 1, parts.count - 2] where hashIndex >= 3 {
            let isKey =
                isHexadecimal(parts[hashIndex], count: 64...64)
                && isHexadecimal(parts[hashIndex - 1], count: 1...8)
                && isHexadecimal(parts[hashIndex - 2], count: 8...8)
            if isKey { return Array(key[..<parts[hashIndex].startIndex]) }
        }
        return nil
    }

    private static func isHexadecimal(_ part: ArraySlice<UInt8>, count: ClosedRange<Int>) -> Bool {
        count.contains(part.count)
            && part.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }
}
