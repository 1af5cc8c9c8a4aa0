internal import Foundation
internal import MemoryTier
internal import Node

/// Whether this machine has the memory and the disk space that a node's settings name.
enum MachineCheck {
    /// The arena against what the machine has available and against the control groups' bound.
    static func memory(_ node: NodeConfiguration) -> Finding {
        let meminfo = SystemFacts.text("/proc/meminfo") ?? ""
        guard let available = MemoryChecks.value(of: "MemAvailable", in: meminfo) else {
            return .ok("memory", "unknown: /proc/meminfo does not say what is available")
        }
        let own = node.memoryFile.path(dataDirectory: node.dataDirectory)
            .flatMap(MemoryFileInventory.item(at:))
        return MemoryChecks.memory(
            // What the node's previous run kept is there for the next one.
            available: available + (own?.byteCount ?? 0),
            groupLimit: SystemFacts.groupMemoryLimit,
            arena: node.memoryByteCount
        )
    }

    /// The disk budget against the free space where the data directory is or will be; `nil` without a disk tier.
    static func disk(_ node: NodeConfiguration) -> Finding? {
        guard let directory = node.dataDirectory, node.diskByteCount > 0 else { return nil }
        guard let free = SystemFacts.freeBytes(existingAncestor(of: directory)) else { return nil }
        let used = SystemFacts.directoryByteCount(directory)
        return DiskChecks.space(free: free, used: used, budget: node.diskByteCount)
    }

    /// Ends the program's start when the machine does not have what a setting asks for.
    static func refuse(_ node: NodeConfiguration, _ settings: ServeSettings) throws(CommandFailure) {
        for (setting, finding) in [(ServeSetting.memory, memory(node)), (.disk, disk(node))] {
            guard let finding, finding.verdict == .failure else { continue }
            let value = settings[setting]
            throw CommandFailure(
                .configuration,
                "\(value.origin): \(value.text ?? "") does not fit this machine: \(finding.detail). "
                    + "Use \(finding.fix ?? "less"), or insist with --force"
            )
        }
    }

    /// The path itself, or the nearest directory above it that exists.
    static func existingAncestor(of path: String) -> String {
        var url = URL(filePath: path).standardizedFileURL
        while url.path != "/", !FileManager.default.fileExists(atPath: url.path) {
            url.deleteLastPathComponent()
        }
        return url.path
    }
}
