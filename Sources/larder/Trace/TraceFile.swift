internal import Foundation
internal import TraceReplay

/// The file of `larder trace`: a JSON object a line; empty lines are skipped.
enum TraceFile {
    /// What is read of a line.
    private struct Line: Decodable {
        let blocks: [UInt64]
        /// What is not there, or not as it should be, is for those to miss who need it.
        let milliseconds: Double?
        let inputTokenCount: Int?

        private enum CodingKeys: String, CodingKey {
            case blocks = "hash_ids"
            case milliseconds = "timestamp"
            case inputTokenCount = "input_length"
        }

        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: CodingKeys.self)
            blocks = try members.decode([UInt64].self, forKey: .blocks)
            milliseconds = try? members.decode(Double.self, forKey: .milliseconds)
            inputTokenCount = try? members.decode(Int.self, forKey: .inputTokenCount)
        }
    }

    /// Bytes of the longest line.
    static let lineByteCountMax = 16 << 20
    private static let chunkByteCount = 1 << 20

    /// Reads the file at `path`, `-` for standard input, in pieces.
    ///
    /// - Throws: `.noInput` with the line's number for one that is no request.
    static func read(_ path: String) throws(CommandFailure) -> RecordedTrace {
        let file = try open(path)
        let progress = ProgressLine()
        var parser = Parser(path: path)
        while true {
            let chunk: Data
            do {
                guard let next = try file.read(upToCount: chunkByteCount), !next.isEmpty else { break }
                chunk = next
            } catch {
                throw CommandFailure(.noInput, "cannot read \(path): not readable")
            }
            try parser.feed(chunk)
            progress.show("\(Report.Cell.integer(parser.recorded.trace.requestCount).text) requests read")
        }
        return try parser.finish()
    }

    private static func open(_ path: String) throws(CommandFailure) -> FileHandle {
        guard path != "-" else { return .standardInput }
        guard let file = FileHandle(forReadingAtPath: path) else {
            let exists = FileManager.default.fileExists(atPath: path)
            throw CommandFailure(.noInput, "cannot read \(path): \(exists ? "not readable" : "no such file")")
        }
        return file
    }

    /// Lines from pieces of a file.
    struct Parser {
        private(set) var recorded = RecordedTrace()
        private let path: String
        private var lineNumber = 0
        private var rest = Data()
        private let decoder = JSONDecoder()

        /// For the file at `path`, which is for messages.
        init(path: String) { self.path = path }

        /// Reads the lines that end in `chunk`.
        mutating func feed(_ chunk: Data) throws(CommandFailure) {
            rest.append(chunk)
            var start = rest.startIndex
            while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
                try add(rest[start..<end])
                start = end + 1
            }
            rest = Data(rest[start...])
            guard rest.count <= TraceFile.lineByteCountMax else {
                throw failure("a line has more than \(TraceFile.lineByteCountMax) bytes", at: lineNumber + 1)
            }
        }

        /// Reads what is left when the file is over.
        mutating func finish() throws(CommandFailure) -> RecordedTrace {
            try add(rest)
            rest = Data()
            guard recorded.trace.requestCount > 0 else {
                throw CommandFailure(.noInput, "\(path) has no requests")
            }
            return recorded
        }

        private mutating func add(_ bytes: Data) throws(CommandFailure) {
            lineNumber += 1
            guard bytes.contains(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\r") }) else {
                return
            }
            guard let line = try? decoder.decode(Line.self, from: bytes) else {
                throw failure(
                    "not a request: a JSON object with hash_ids, a list of whole numbers from 0",
                    at: lineNumber
                )
            }
            recorded.append(
                line.blocks,
                line: lineNumber,
                milliseconds: line.milliseconds,
                inputTokenCount: line.inputTokenCount
            )
        }

        private func failure(_ message: String, at line: Int) -> CommandFailure {
            CommandFailure(.noInput, "\(path):\(line): \(message)")
        }
    }
}
