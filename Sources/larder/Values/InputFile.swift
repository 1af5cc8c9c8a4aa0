internal import Foundation

/// Files that a person names on the command line.
enum InputFile {
    /// The whole file as text.
    static func text(at path: String) throws(CommandFailure) -> String {
        guard let text = String(validating: try bytes(at: path), as: UTF8.self) else {
            throw CommandFailure(.noInput, "\(path) is not UTF-8 text")
        }
        return text
    }

    /// The whole file; `-` is standard input.
    static func bytes(at path: String) throws(CommandFailure) -> [UInt8] {
        do {
            let data =
                path == "-"
                ? try FileHandle.standardInput.readToEnd() ?? Data()
                : try Data(contentsOf: URL(filePath: path))
            return Array(data)
        } catch {
            let reason = FileManager.default.fileExists(atPath: path) ? "not readable" : "no such file"
            throw CommandFailure(.noInput, "cannot read \(path): \(reason)")
        }
    }
}
