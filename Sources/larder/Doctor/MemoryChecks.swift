internal import MemoryTier

/// Judges the machine's memory.
///
/// Pure: what the kernel's files say is given.
enum MemoryChecks {
    /// Memory a node may take beside its arena, bytes.
    static let byteCountBesideArena = 256 << 20

    /// Whether the arena fits into what is free and into the control group's bound.
    static func memory(available: Int, groupLimit: Int?, arena: Int) -> Finding {
        let needed = arena + byteCountBesideArena
        let free = min(available, groupLimit ?? available)
        let place =
            free < available
            ? "the control group's limit is \(ByteCount(bytes: free))"
            : "\(ByteCount(bytes: free)) are available"
        let text = "\(place), the node takes up to \(ByteCount(bytes: needed))"
        guard free < needed else { return .ok("memory", text) }
        let suggestion = max(16 << 20, (free - byteCountBesideArena) / (1 << 20) * (1 << 20) * 9 / 10)
        let rounded = suggestion / (16 << 20) * (16 << 20)
        return .failure("memory", text, fix: "--memory \(ByteCount(bytes: max(16 << 20, rounded)).exactText)")
    }

    /// The value of `name` in /proc/meminfo, bytes.
    static func value(of name: String, in meminfo: String) -> Int? {
        for line in meminfo.split(separator: "\n") where line.hasPrefix(name + ":") {
            let number = line.dropFirst(name.count + 1).split(separator: " ").first
            return number.flatMap { Int($0) }.flatMap { $0 > Int.max / 1_024 ? nil : $0 * 1_024 }
        }
        return nil
    }

    /// Whether /dev/shm has room for the arena, where it is a file there; `own` is what the node's file holds already.
    static func sharedMemory(free: Int?, arena: Int?, own: Int) -> Finding {
        guard let free else {
            return .warning(
                "/dev/shm",
                "not there",
                fix: "mount -t tmpfs tmpfs /dev/shm, if programs on this machine are to share memory"
            )
        }
        guard let arena else {
            return .ok("/dev/shm", "\(ByteCount(bytes: free)) free, the arena does not count against it")
        }
        let text = "\(ByteCount(bytes: free + own)) for an arena of \(ByteCount(bytes: arena))"
        guard free + own < arena + arena / 64 else { return .ok("/dev/shm", text) }
        return .warning(
            "/dev/shm",
            text + ": RAM will not outlive the process",
            fix:
                "mount -o remount,size=..., docker run --shm-size ..., a lower --memory, or --memory-file off"
        )
    }

    /// What other nodes have left.
    static func leftovers(_ files: [MemoryFileInventory.Item]) -> Finding {
        guard !files.isEmpty else { return .ok("kept memory", "none that no node uses") }
        let byteCount = files.reduce(0) { $0 + $1.byteCount }
        return .warning(
            "kept memory",
            "\(ByteCount(bytes: byteCount)) in \(files.count) files for nodes that do not run",
            fix: "start them, or give it back: larder memory list, larder memory remove"
        )
    }

    /// Whether the kernel may back the arena with huge pages; `setting` is the content of shmem_enabled, `mountOptions`
    /// those of the file system that the arena is a file on, if it is one.
    static func hugePages(setting: String?, mountOptions: String? = nil) -> Finding {
        let chosen = setting.flatMap(chosenWord)
        if let mountOptions, chosen != "force" {
            let huge = mountOptions.split(separator: ",").first {
                $0.hasPrefix("huge=") && $0 != "huge=never"
            }
            guard let huge else {
                return .warning(
                    "huge pages",
                    "/dev/shm: never",
                    fix: "mount -o remount,huge=advise /dev/shm, for fewer page table misses"
                )
            }
            return .ok("huge pages", "/dev/shm: \(huge.dropFirst(5))")
        }
        switch chosen {
        case "always", "advise", "within_size", "force":
            return .ok("huge pages", "shared memory: \(chosen ?? "")")
        default:
            return .warning(
                "huge pages",
                "shared memory: \(chosen ?? "unknown")",
                fix:
                    "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled, for fewer page table misses"
            )
        }
    }

    /// The options of the file system mounted at `path`, as /proc/mounts tells them; `nil` when there is none.
    static func mountOptions(of path: String, in mounts: String) -> String? {
        mounts.split(separator: "\n").last {
            $0.split(separator: " ").dropFirst().first.map(String.init) == path
        }
        .flatMap { $0.split(separator: " ").dropFirst(3).first.map(String.init) }
    }

    /// `b` of `a [b] c`.
    private static func chosenWord(_ line: String) -> String? {
        guard let open = line.firstIndex(of: "["), let close = line[open...].firstIndex(of: "]") else {
            return nil
        }
        return String(line[line.index(after: open)..<close])
    }

    /// How fast fresh memory can be claimed; slow where a hypervisor hands it out page by page.
    static func firstTouch(bytesPerSecond: Double, arena: Int) -> Finding {
        let seconds = Double(arena) / bytesPerSecond
        return .ok(
            "first touch",
            "\(Rate.text(bytesPerSecond)), so the node claims its memory in about \(Rate.seconds(seconds))"
        )
    }
}

/// Speeds and times as people read them.
enum Rate {
    /// `1.23 GB/s`.
    static func text(_ bytesPerSecond: Double) -> String {
        bytesPerSecond >= 1e9
            ? "\(decimals(bytesPerSecond / 1e9, 2)) GB/s" : "\(decimals(bytesPerSecond / 1e6, 0)) MB/s"
    }

    /// `1.2 s`, `3.4 ms`, `120 us`.
    static func seconds(_ seconds: Double) -> String {
        if seconds >= 1 { return "\(decimals(seconds, 1)) s" }
        if seconds >= 1e-3 { return "\(decimals(seconds * 1e3, 1)) ms" }
        return "\(decimals(seconds * 1e6, 0)) us"
    }

    /// A number with a fixed count of decimals, 0 to 3.
    static func decimals(_ value: Double, _ count: Int) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return "?" }
        let scale = [1, 10, 100, 1_000][min(max(count, 0), 3)]
        let scaled = Int((value.magnitude * Double(scale)).rounded())
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard count > 0 else { return sign + String(scaled) }
        let fraction = String(scaled % scale)
        return "\(sign)\(scaled / scale).\(String(repeating: "0", count: count - fraction.count))\(fraction)"
    }
}
