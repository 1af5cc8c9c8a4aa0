/// A file whose first line is a password; nothing on a command line, which every user of the machine can read.
enum PasswordFile {
    /// The first line without its end; `-` reads standard input.
    static func password(at path: String) throws(CommandFailure) -> [UInt8] {
        var line = try InputFile.bytes(at: path).prefix { $0 != UInt8(ascii: "\n") }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard !line.isEmpty else {
            throw CommandFailure(.noInput, "\(path) holds no password on its first line")
        }
        return Array(line)
    }
}
