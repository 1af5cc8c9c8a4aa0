internal import ArgumentParser
internal import Foundation
internal import MemoryTier
internal import Node

#if canImport(Glibc)
    internal import Glibc
#endif

/// `larder doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check whether this machine can run the node that the settings describe.",
        discussion: """
            Takes the settings of 'larder serve' and checks limits, memory, huge pages, the ports, the data \
            directory's free space and speed, and that the disk tier works; each line says what to do.

              larder doctor --memory 8GiB --data-dir /var/lib/larder --disk 200GiB

            The disk test writes --disk-test bytes into the data directory and removes them. Run it while no node \
            uses the directory. Exits 0 when the node can serve, 1 when a check failed; warnings do not count.
            """
    )

    @OptionGroup var options: SettingOptions
    @Option(help: ArgumentHelp("Bytes the disk test writes; 0 skips it.", valueName: "bytes"))
    var diskTest = ByteCount(bytes: 256 << 20)
    @OptionGroup var output: OutputOptions

    func run() throws {
        let configuration = try ServeConfiguration(options.resolve()).node
        var findings = limits(configuration) + memory(configuration)
        findings += ports(configuration)
        findings += disk(configuration)
        if output.output == .table {
            try StandardStreams.output(findings.text)
        } else {
            try output.print(findings.report)
        }
        guard !findings.contains(where: { $0.verdict == .failure }) else {
            throw ExitCode(ExitStatus.negative.rawValue)
        }
    }

    private func limits(_ node: NodeConfiguration) -> [Finding] {
        [
            LimitChecks.openFiles(
                limit: SystemFacts.limit(RLIMIT_NOFILE),
                connections: node.limits.connectionCountMax
            ),
            LimitChecks.lockedMemory(limit: SystemFacts.limit(__RLIMIT_MEMLOCK)),
        ]
    }

    private func memory(_ node: NodeConfiguration) -> [Finding] {
        let own = node.memoryFile.path(dataDirectory: node.dataDirectory).flatMap(
            MemoryFileInventory.item(at:)
        )
        var findings = [
            MachineCheck.memory(node),
            MemoryChecks.sharedMemory(
                free: SystemFacts.freeBytes(MemoryFileChoice.folder),
                arena: node.memoryFile.path(dataDirectory: node.dataDirectory) == nil
                    ? nil : node.memoryByteCount,
                own: own?.byteCount ?? 0
            ),
            MemoryChecks.leftovers(MemoryCommand.files.filter { !$0.isInUse && $0.path != own?.path }),
            MemoryChecks.hugePages(
                setting: SystemFacts.text("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
                mountOptions: node.memoryFile.path(dataDirectory: node.dataDirectory) == nil
                    ? nil
                    : MemoryChecks.mountOptions(
                        of: MemoryFileChoice.folder,
                        in: SystemFacts.text("/proc/mounts") ?? ""
                    )
            ),
        ]
        if let rate = SystemFacts.firstTouchRate(byteCount: 128 << 20) {
            findings.append(MemoryChecks.firstTouch(bytesPerSecond: rate, arena: node.memoryByteCount))
        }
        return findings
    }

    private func ports(_ node: NodeConfiguration) -> [Finding] {
        var findings: [Finding] = []
        if let port = node.port {
            let failure = PortProbe.bindFailure(host: node.host, port: port)
            findings.append(PortProbe.judge("port", host: node.host, port: port, failure: failure))
        }
        if let port = node.lmPort {
            let failure = PortProbe.bindFailure(host: "127.0.0.1", port: port)
            findings.append(PortProbe.judge("lm port", host: "127.0.0.1", port: port, failure: failure))
        }
        for (name, port) in [("events port", node.events?.port), ("replay port", node.events?.replayPort)] {
            guard let port, let host = node.events?.host else { continue }
            let failure = PortProbe.bindFailure(host: host, port: port)
            findings.append(PortProbe.judge(name, host: host, port: port, failure: failure))
        }
        if let port = node.controlPort {
            let failure = PortProbe.bindFailure(host: node.controlHost, port: port)
            findings.append(
                PortProbe.judge("control port", host: node.controlHost, port: port, failure: failure)
            )
        }
        return findings
    }

    private func disk(_ node: NodeConfiguration) -> [Finding] {
        guard let directory = node.dataDirectory, node.diskByteCount > 0 else {
            return [.ok("disk", "off: blocks live in RAM only"), database(below: NSTemporaryDirectory())]
        }
        // A check changes nothing: directories that it makes, whose owner may be another than the node's, go again.
        let existing = MachineCheck.existingAncestor(of: directory)
        defer { removeEmptyDirectories(from: directory, upTo: existing) }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            let fix = "another --data-dir, or its owner: chown"
            return [.failure("data directory", "\(directory) cannot be made", fix: fix)]
        }
        var findings = MachineCheck.disk(node).map { [$0] } ?? []
        findings.append(
            DiskChecks.index(
                blockCountMax: node.diskBlockCountMax,
                budget: node.diskByteCount,
                machineMemory: SystemFacts.machineMemory
            )
        )
        if diskTest.bytes > 0 {
            do throws(CommandFailure) {
                findings += DiskChecks.speed(
                    try DiskProbe.measure(directory: directory, byteCount: diskTest.bytes)
                )
            } catch {
                findings.append(
                    .failure("disk writes", error.description, fix: "make the directory writable")
                )
            }
        }
        return findings + [database(below: directory)]
    }

    private func removeEmptyDirectories(from directory: String, upTo existing: String) {
        var url = URL(filePath: directory).standardizedFileURL
        // SAFETY: the path is lent as a terminated text during the call. rmdir removes only what is empty.
        while url.path != existing, url.path != "/", unsafe rmdir(url.path) == 0 {
            url.deleteLastPathComponent()
        }
    }

    private func database(below directory: String) -> Finding {
        let path = URL(filePath: directory).appending(path: ".larder-doctor-database-\(getpid())").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        return DatabaseProbe.check(directory: path)
    }
}
