internal import Blocks
internal import Placement

/// Which key in etcd means what: `PREFIX/members/NAME`, `PREFIX/namespaces/ID`, `PREFIX/users/NAME`. Never blocks.
struct EtcdLayout: Sendable {
    /// What a key names.
    enum Subject: Hashable, Sendable {
        /// A member, its record beside it.
        case member(NodeName)
        /// A namespace, its canonical description beside it.
        case namespace(NamespaceID)
        /// A user, its line of a users file beside it.
        case user(String)
    }

    private let root: String

    /// Most keys of each kind that are looked at, so that a foreign writer cannot fill the node's memory.
    static let keyCountMax = 10_000
    /// Longest name of a user, bytes.
    static let userNameByteCountMax = 128

    /// Takes the prefix, which has no slash at its end.
    init(prefix: String) {
        root = prefix + "/"
    }

    /// All keys.
    var range: EtcdKeyRange { EtcdKeyRange(under: root) }

    /// The keys of each kind.
    var ranges: [EtcdKeyRange] {
        ["members/", "namespaces/", "users/"].map { EtcdKeyRange(under: root + $0) }
    }

    /// A member's key.
    func key(of name: NodeName) -> [UInt8] { Array("\(root)members/\(name)".utf8) }

    /// A namespace's key.
    func key(of id: NamespaceID) -> [UInt8] { Array("\(root)namespaces/\(id)".utf8) }

    /// What a key names; `nil` for a key that means nothing to us.
    func subject(of key: [UInt8]) -> Subject? {
        guard key.count <= root.utf8.count + 512, let text = String(validating: key, as: UTF8.self),
            text.hasPrefix(root)
        else {
            return nil
        }
        let parts = text.dropFirst(root.count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        switch parts[0] {
        case "members": return NodeName(parts[1]).map(Subject.member)
        case "namespaces": return NamespaceID(hexadecimal: parts[1].utf8).map(Subject.namespace)
        case "users":
            let isName = (1...Self.userNameByteCountMax).contains(parts[1].utf8.count)
            return isName ? .user(String(parts[1])) : nil
        default: return nil
        }
    }
}
