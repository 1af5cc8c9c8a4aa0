internal import Blocks
internal import Synchronization

/// How long a hit's header line would have been, for keys of LMCache's native client in its multi-process mode.
///
/// That client reads exactly the length of `$<n>\r\n` as a GET's header and hangs for ever on the shorter `$-1\r\n`. A
/// nil padded with zeros to that length marks the key as missing and keeps the client in step. `n` is the length last
/// stored under the same model, rank and group; the table remembers a bounded number of those.
final class PaddedNilTable: Sendable {
    private struct Group: Hashable {
        var tenant: Tenant
        var database: Int
        var prefix: [UInt8]
    }

    private struct State {
        var lengths: [Group: Int] = [:]
        var order: [Group] = []
        var oldest = 0
    }

    private let state = Mutex(State())

    /// Most groups remembered; the oldest is forgotten first.
    static let groupCountMax = 1024

    /// Remembers the length of a value of `key`, when the key is of that kind.
    func record(_ key: [UInt8], tenant: Tenant, database: Int, byteCount: Int) {
        guard let prefix = LMCacheKey.groupPrefix(of: key) else { return }
        let group = Group(tenant: tenant, database: database, prefix: prefix)
        state.withLock { state in
            guard state.lengths.updateValue(byteCount, forKey: group) == nil else { return }
            if state.order.count < Self.groupCountMax {
                state.order.append(group)
            } else {
                state.lengths[state.order[state.oldest]] = nil
                state.order[state.oldest] = group
                state.oldest = (state.oldest + 1) % Self.groupCountMax
            }
        }
    }

    /// The reply to a miss of `key`, or `nil` when a plain one is right.
    func reply(_ key: [UInt8], tenant: Tenant, database: Int) -> String? {
        guard let prefix = LMCacheKey.groupPrefix(of: key) else { return nil }
        let group = Group(tenant: tenant, database: database, prefix: prefix)
        guard let byteCount = state.withLock({ $0.lengths[group] }) else { return nil }
        let digits = String(byteCount).utf8.count
        guard digits >= 2 else { return nil }
        return "$-" + String(repeating: "0", count: digits - 2) + "1\r\n"
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
