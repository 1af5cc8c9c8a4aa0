internal import Blocks

/// Namespaces and users, as far as the source has told: a pure value.
///
/// Namespaces that a source has lost are put there again. Users are never written; when a source lost all its data, the
/// former users stay in force until it has others.
struct SharedDirectory: Sendable {
    /// Every namespace known, whoever shared it.
    private(set) var namespaces: [NamespaceID: NamespaceDescription] = [:]
    /// Lines of a users file by their users' names.
    private(set) var users: [String: String] = [:]
    /// Namespaces that others have shared and that have not been taken yet, in order.
    private var news: [NamespaceDescription] = []
    private var inSource: Set<NamespaceID> = []

    /// Most namespaces, most users.
    static let countMax = 4_096

    /// Takes a namespace of this node's; `false` when there are too many.
    mutating func share(_ description: NamespaceDescription) -> Bool {
        guard namespaces[description.id] == nil else { return true }
        guard namespaces.count < Self.countMax else { return false }
        namespaces[description.id] = description
        return true
    }

    /// Namespaces that the source does not have.
    var missing: [NamespaceDescription] {
        namespaces.values.filter { !inSource.contains($0.id) }
    }

    /// Whether the source does not have a namespace that is known.
    func isMissing(_ id: NamespaceID) -> Bool { namespaces[id] != nil && !inSource.contains(id) }

    /// The source has this namespace.
    mutating func stored(_ id: NamespaceID) { inSource.insert(id) }

    /// The source told a namespace; `false` when there are too many.
    mutating func put(_ description: NamespaceDescription) -> Bool {
        if namespaces[description.id] == nil {
            guard share(description) else { return false }
            news.append(description)
        }
        inSource.insert(description.id)
        return true
    }

    /// Somebody took the namespace out of the source: it is not put there again.
    mutating func remove(_ id: NamespaceID) {
        inSource.remove(id)
        namespaces[id] = nil
    }

    /// The source told a user; `false` when there are too many.
    mutating func put(user: String, line: String) -> Bool {
        guard users[user] != nil || users.count < Self.countMax else { return false }
        users[user] = line
        return true
    }

    /// Somebody took a user out of the source.
    mutating func remove(user: String) { users[user] = nil }

    /// The source will tell all that it has: nothing else is in it.
    ///
    /// - Parameter keepsUsers: whether users stay although the source tells none.
    mutating func beginSync(keepsUsers: Bool) {
        inSource = []
        if !keepsUsers { users = [:] }
    }

    /// The namespaces that others have shared since the last call.
    mutating func takeNews() -> [NamespaceDescription] {
        defer { news = [] }
        return news
    }
}
