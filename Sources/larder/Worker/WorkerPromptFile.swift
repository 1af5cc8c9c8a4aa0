internal import Foundation

/// The prompts of a file: conversations of one turn or several.
enum WorkerPromptFile {
    /// Reads a file: JSON lines by the name's ending, else one prompt.
    static func conversations(at path: String) throws(CommandFailure) -> [[[UInt8]]] {
        let bytes = try InputFile.bytes(at: path)
        let conversations = path.hasSuffix(".jsonl") ? try lines(bytes, path) : [[bytes]]
        guard !conversations.isEmpty else { throw CommandFailure(.noInput, "\(path) holds no prompt") }
        return conversations
    }

    /// One request a line; empty lines are skipped.
    private static func lines(_ bytes: [UInt8], _ path: String) throws(CommandFailure) -> [[[UInt8]]] {
        var conversations: [[[UInt8]]] = []
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            guard line.contains(where: { $0 > UInt8(ascii: " ") }) else { continue }
            guard let request = try? JSONDecoder().decode(Line.self, from: Data(line)), let turns = request.conversation
            else {
                throw CommandFailure(
                    .noInput,
                    "\(path), line \(index + 1): expected {\"prompt\": \"...\"} or {\"turns\": [\"...\", ...]}"
                )
            }
            conversations.append(turns.map { Array($0.utf8) })
        }
        return conversations
    }

    private struct Line: Decodable {
        let prompt: String?
        let turns: [String]?

        /// The turns, when there is exactly one of the two fields and something in it.
        var conversation: [String]? {
            switch (prompt, turns) {
            case (.some(let prompt), nil): [prompt]
            case (nil, .some(let turns)) where !turns.isEmpty: turns
            default: nil
            }
        }
    }
}
