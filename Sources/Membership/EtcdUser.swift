internal import Blocks
internal import Foundation

/// A user of etcd. Its descriptions leave the password out, so that it is in no log.
struct EtcdUser: Sendable {
    /// The name.
    let name: String
    /// The password.
    let password: String

    /// Longest password file, bytes.
    static let fileByteCountMax = 4_096

    /// Reads `user:password`, or `user` and the password's file; throws `.invalidArgument` when there is no password
    /// or more than one.
    init(_ text: Substring, passwordFile: String?) throws(CacheError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map {
            String($0).removingPercentEncoding ?? ""
        }
        guard let name = parts.first, !name.isEmpty, parts.count == 1 || passwordFile == nil else {
            throw CacheError(
                .invalidArgument,
                "etcd's user is given as user:password, or as user and a password file"
            )
        }
        self.name = name
        password =
            try passwordFile.map { path throws(CacheError) in try Self.read(path) } ?? parts.dropFirst().first
            ?? ""
        guard !password.isEmpty else {
            throw CacheError(.invalidArgument, "etcd's user \(name) has no password")
        }
    }

    private static func read(_ path: String) throws(CacheError) -> String {
        let problem =
            "the file of etcd's password, \(path), cannot be read as text of at most \(fileByteCountMax) bytes"
        guard let file = FileHandle(forReadingAtPath: path),
            let bytes = try? file.read(upToCount: fileByteCountMax + 1), bytes.count <= fileByteCountMax,
            let text = String(bytes: bytes, encoding: .utf8)
        else { throw CacheError(.invalidArgument, problem) }
        return text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    }
}

extension EtcdUser: CustomStringConvertible, CustomReflectable {
    /// The name alone.
    var description: String { name }
    /// The name alone.
    var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}
