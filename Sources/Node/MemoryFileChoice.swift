internal import Crypto
internal import Glibc

/// Where a node keeps its memory tier when the process ends.
package enum MemoryFileChoice: Hashable, Sendable {
    /// Nowhere.
    case off
    /// In /dev/shm, under a name that follows from the data directory; without a data directory nowhere.
    case automatic
    /// In this file, on a file system in memory. Without a data directory the node's identity is kept beside it.
    case path(String)

    /// Reads `off`, `auto` or a path with a slash in it.
    package init?(_ text: String) {
        switch text {
        case "off": self = .off
        case "auto": self = .automatic
        case let path where path.contains("/") && !path.hasSuffix("/"): self = .path(path)
        default: return nil
        }
    }

    /// The file system in memory that every Linux has.
    package static let folder = "/dev/shm"

    /// What the names of a user's files in it begin with.
    package static var namePrefix: String { "larder-\(geteuid())-" }

    /// The file of a node with this data directory, which is there; `nil` for none.
    package func path(dataDirectory: String?) -> String? {
        switch self {
        case .off: return nil
        case .path(let path): return path
        case .automatic:
            guard let dataDirectory else { return nil }
            let digest = SHA256.hash(data: Array(Self.canonical(dataDirectory).utf8)).prefix(8)
            let digits = digest.map { byte in
                let text = String(byte, radix: 16)
                return byte < 16 ? "0" + text : text
            }
            return "\(Self.folder)/\(Self.namePrefix)\(digits.joined())"
        }
    }

    /// Where the identity is kept that goes with the file: the data directory, or beside the file.
    package func identityDirectory(dataDirectory: String?) -> String? {
        if let dataDirectory { return dataDirectory }
        if case .path(let path) = self { return path + ".d" }
        return nil
    }

    /// The path without links and dots.
    static func canonical(_ path: String) -> String {
        // SAFETY: realpath gives a terminated text of its own, which is freed here.
        guard let resolved = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }
}
