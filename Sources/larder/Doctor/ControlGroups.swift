/// The memory bound of the control groups that a process is in, versions 1 and 2.
///
/// A bound may be set on any group from the process's own up to the root (systemd's MemoryMax= on a unit or a slice, a
/// container's limit), so all of them are asked and the smallest counts. Pure: `read` gives the text of the kernel's files.
/// See cgroups(7) for the formats of /proc/self/cgroup, and proc(5) for that of /proc/self/mountinfo.
struct ControlGroups {
    /// The text of a file; `nil` when it is not there or not readable.
    let read: (_ path: String) -> String?

    /// Bytes that the process and those beside it in its groups may use; `nil` without a bound.
    var memoryLimit: Int? {
        guard let groups = read("/proc/self/cgroup"), let mounts = read("/proc/self/mountinfo") else {
            return nil
        }
        return groups.split(separator: "\n").compactMap { line in
            // hierarchy-ID:controllers:path, without controllers for version 2.
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return nil }
            let isUnified = fields[0] == "0" && fields[1].isEmpty
            guard isUnified || fields[1].split(separator: ",").contains("memory") else { return nil }
            let mount = Self.mount(isUnified: isUnified, in: mounts)
            let file = isUnified ? "memory.max" : "memory.limit_in_bytes"
            return mount.flatMap { smallestLimit(of: String(fields[2]), in: $0, file) }
        }
        .min()
    }

    /// A control group file system: which group is its root, and where it is mounted.
    private struct Mount {
        let root: String
        let point: String
    }

    /// The smallest bound from a group up to the root of its file system.
    private func smallestLimit(of group: String, in mount: Mount, _ file: String) -> Int? {
        var path = group
        // In a container the file system may begin at the container's own group.
        if mount.root != "/" {
            path = path.hasPrefix(mount.root) ? String(path.dropFirst(mount.root.count)) : ""
        }
        var names = path.split(separator: "/").filter { $0 != ".." }
        var smallest: Int?
        while true {
            let directory = ([mount.point] + names.map(String.init)).joined(separator: "/")
            if let limit = read("\(directory)/\(file)").flatMap(Self.byteCount) {
                smallest = min(smallest ?? limit, limit)
            }
            guard names.popLast() != nil else { return smallest }
        }
    }

    /// Where the memory controller's groups are; `nil` when they are not mounted.
    ///
    /// A line is `ID parent major:minor root point options [optional ...] - type source super-options`.
    private static func mount(isUnified: Bool, in mounts: String) -> Mount? {
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 5, fields.count > dash + 3 else { continue }
            let isWanted =
                isUnified
                ? fields[dash + 1] == "cgroup2"
                : fields[dash + 1] == "cgroup" && fields[dash + 3].split(separator: ",").contains("memory")
            if isWanted { return Mount(root: String(fields[3]), point: String(fields[4])) }
        }
        return nil
    }

    /// Reads `max` and version 1's largest number as no bound.
    private static func byteCount(_ text: String) -> Int? {
        let digits = text.split(whereSeparator: \.isWhitespace).first ?? ""
        guard let count = Int(digits), count < 1 << 60 else { return nil }
        return count
    }
}
