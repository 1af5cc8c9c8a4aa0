/// Judges the process's limits.
///
/// Pure: the limits are given; `nil` is unlimited.
enum LimitChecks {
    /// Descriptors a node needs beside its connections: tables of the database, listeners, logs.
    static let descriptorsBesideConnections = 1_024

    /// Whether all allowed connections can be open at a time.
    static func openFiles(limit: Int?, connections: Int) -> Finding {
        let needed = connections + descriptorsBesideConnections
        guard let limit, limit < needed else {
            return .ok("open files", "limit \(limit.map(String.init) ?? "unlimited"), \(needed) are enough")
        }
        return .warning(
            "open files",
            "limit \(limit), all \(connections) connections and the disk tier need \(needed)",
            fix: "ulimit -n \(needed), LimitNOFILE=\(needed) in a systemd unit, or fewer --connections"
        )
    }

    /// Locked memory: the node locks none, other programs of its kind do, so it is only reported.
    static func lockedMemory(limit: Int?) -> Finding {
        let text = limit.map { ByteCount(bytes: $0).description } ?? "unlimited"
        return .ok("locked memory", "limit \(text), the node locks none")
    }
}
