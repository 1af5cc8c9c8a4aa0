internal import Blocks
internal import Foundation
internal import Placement

/// Remembers over a restart until when a node heard of the other nodes' deletions: a line `name log-id milliseconds` for
/// each, written by rename.
struct ContactFile {
    let url: URL

    init(directory: String) {
        url = URL(filePath: directory).appending(path: "contacts")
    }

    /// What is remembered; a line that makes no sense is left out, as is everything when there is no file.
    func read() -> [NodeName: (logID: UInt64, heardAt: UInt64)] {
        guard let text = try? String(contentsOf: url, encoding: .utf8) else { return [:] }
        var contacts: [NodeName: (logID: UInt64, heardAt: UInt64)] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count == 3, let name = NodeName(String(fields[0])), let logID = UInt64(fields[1]),
                let heardAt = UInt64(fields[2])
            else { continue }
            contacts[name] = (logID, heardAt)
        }
        return contacts
    }

    /// Replaces what is remembered; a failure costs the next start a longer list to ask for.
    func write(_ contacts: [(name: NodeName, logID: UInt64, heardAt: UInt64)]) {
        let text = contacts.map { "\($0.name) \($0.logID) \($0.heardAt)\n" }.sorted().joined()
        try? Data(text.utf8).write(to: url, options: .atomic)
    }
}
