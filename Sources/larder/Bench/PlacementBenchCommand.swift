internal import ArgumentParser
internal import Placement

/// `larder bench placement`.
struct PlacementBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "placement",
        abstract:
            "Tell how evenly blocks are spread over clusters of several sizes, and what a change moves.",
        discussion: """
            Nothing is sent: views of made-up members are computed as nodes compute them.

              larder bench placement
              larder bench placement --nodes 5,50,500 --blocks 2000

            LARGEST and SMALLEST are a node's keys against the mean. JOIN is the part of all slots that move when one node \
            more comes, times the number of nodes then: 1 is the least possible. VIEW is the time a node needs for its first \
            view, CHANGE that for the next when one node more comes, and LEAVE that when it goes again; one core. ASKED is how many nodes own a part of a prompt of --blocks blocks, and are asked when it is matched.
            """
    )

    @Option(help: ArgumentHelp("Sizes of clusters.", valueName: "list"))
    var nodes = BenchList([3, 5, 10, 100, 1_000])
    @Option(help: ArgumentHelp("Keys that are spread.", valueName: "count"))
    var keys = 100_000
    @Option(help: ArgumentHelp("Blocks of a prompt.", valueName: "count"))
    var blocks = 250
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard nodes.values.allSatisfy({ (1..<ClusterView.memberCountMax).contains($0) }) else {
            throw ValidationError("--nodes takes sizes from 1 to \(ClusterView.memberCountMax - 1).")
        }
        guard (1...100_000_000).contains(keys), (1...1_000_000).contains(blocks) else {
            throw ValidationError("--keys is 1 to 100,000,000 and --blocks 1 to 1,000,000.")
        }
    }

    func run() throws {
        let rows = nodes.values.map { row(nodeCount: $0) }
        try output.print(
            Report(
                columns: [
                    .init("nodes"), .init("largest"), .init("smallest"), .init("join"),
                    .init("view_milliseconds"), .init("change_milliseconds"), .init("leave_milliseconds"),
                    .init("asked"),
                ],
                rows: rows
            )
        )
    }

    private func row(nodeCount: Int) -> [Report.Cell] {
        let clock = ContinuousClock()
        let members = Self.members(nodeCount + 1)
        var view = ClusterView(epoch: 0, members: [])
        let time = clock.measure { view = ClusterView(epoch: 1, members: Array(members.prefix(nodeCount))) }
        var larger = view
        let joinTime = clock.measure { larger = ClusterView(epoch: 2, members: members, after: view) }
        let leaveTime = clock.measure { view = ClusterView(epoch: 3, members: view.members, after: larger) }
        var moved = 0
        for slot in UInt16(0)..<UInt16(Slot.count)
        where view.owner(of: slot)?.name != larger.owner(of: slot)?.name {
            moved += 1
        }
        var counts = [Int](repeating: 0, count: nodeCount)
        var asked: Set<Int> = []
        for index in 0..<max(keys, blocks) {
            let key = Array("block-\(index)".utf8)
            guard let place = unsafe view.ownerPlace(of: Slot.of(key.span.bytes)) else { continue }
            if index < keys { counts[place] += 1 }
            if index < blocks { asked.insert(place) }
        }
        let mean = Double(keys) / Double(nodeCount)
        return [
            .integer(nodeCount), .text(Rate.decimals(Double(counts.max() ?? 0) / mean, 3)),
            .text(Rate.decimals(Double(counts.min() ?? 0) / mean, 3)),
            .text(Rate.decimals(Double(moved) / Double(Slot.count) * Double(nodeCount + 1), 3)),
            .text(Rate.decimals(time / .milliseconds(1), 1)),
            .text(Rate.decimals(joinTime / .milliseconds(1), 1)),
            .text(Rate.decimals(leaveTime / .milliseconds(1), 1)), .integer(asked.count),
        ]
    }

    private static func members(_ count: Int) -> [Member] {
        (0..<count).compactMap { index in
            NodeName("node-\(index)").map { Member(name: $0, host: "127.0.0.1", port: 7_379) }
        }
    }
}
