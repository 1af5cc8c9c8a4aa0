internal import Blocks
internal import CPosix
internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#endif

/// Reads what the doctor judges from the running system.
enum SystemFacts {
    /// A soft limit of the process; `nil` is unlimited.
    static func limit(_ resource: __rlimit_resource) -> Int? {
        var limit = rlimit()
        // SAFETY: getrlimit writes one rlimit into the variable it is given.
        guard unsafe getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0,
            limit.rlim_cur != rlim_t.max
        else { return nil }
        return Int(clamping: limit.rlim_cur)
    }

    /// The host's name as the kernel knows it, which is the pod's in Kubernetes; no resolver is asked.
    static var hostName: String {
        let name = text("/proc/sys/kernel/hostname")?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        return name.isEmpty ? "localhost" : name
    }

    /// The text of a small file of the kernel's; `nil` when it is not there.
    static func text(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }

    /// Memory that the machine has, or less where a control group bounds it, bytes; `nil` when it is unknown.
    static var machineMemory: Int? {
        let total = text("/proc/meminfo").flatMap { MemoryChecks.value(of: "MemTotal", in: $0) }
        return [total, groupMemoryLimit].compactMap { $0 }.min()
    }

    /// The memory bound of the process's control groups, bytes; `nil` without one.
    static var groupMemoryLimit: Int? { ControlGroups(read: text).memoryLimit }

    /// Bytes that an ordinary user may still write below `path`; `nil` when there is no such path.
    static func freeBytes(_ path: String) -> Int? {
        var status = statvfs()
        // SAFETY: statvfs writes one structure into the variable it is given.
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        let (bytes, overflows) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
            by: Int(status.f_frsize)
        )
        return overflows ? Int.max : bytes
    }

    /// How fast fresh shared memory can be claimed, bytes per second; `nil` when the kernel refuses.
    static func firstTouchRate(byteCount: Int) -> Double? {
        let descriptor = unsafe larder_memfd_create("larder-doctor", byteCount)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let memory = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let memory = unsafe memory, unsafe memory != MAP_FAILED else { return nil }
        // SAFETY: the mapping has exactly this length and nothing refers to it afterwards.
        defer { unsafe munmap(memory, byteCount) }
        let clock = SystemClock()
        let start = clock.monotonicNanoseconds()
        guard unsafe larder_populate_write(memory, byteCount) == 0 else { return nil }
        return Double(byteCount) / max(1e-9, Double(clock.monotonicNanoseconds() - start) / 1e9)
    }

    /// Bytes of all files below a directory.
    static func directoryByteCount(_ path: String) -> Int {
        let files = FileManager.default.enumerator(atPath: path)
        var total = 0
        while files?.nextObject() != nil {
            total += (files?.fileAttributes?[.size] as? Int) ?? 0
        }
        return total
    }
}
