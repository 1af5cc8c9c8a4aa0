internal import Blocks
internal import RESP
internal import Tiering

extension RedisConnection {
    /// Databases that SELECT knows.
    static let databaseCount = 16

    /// The selected database of the user who asks.
    var databaseSpace: KeySpace { databaseSpace(of: session.user ?? .anybody) }

    /// The selected database of a user.
    func databaseSpace(of user: User) -> KeySpace {
        if let lastDatabase, lastDatabase.number == session.database, lastDatabase.space.tenant == user.tenant
        {
            return lastDatabase.space
        }
        let space = space(of: user, database: session.database)
        lastDatabase = (session.database, space)
        return space
    }

    /// A numbered database of a user.
    func space(of user: User, database: Int) -> KeySpace {
        store.space(tenant: user.tenant, database: database)
    }

    /// The namespace named by 64 hexadecimal digits at `index`, as the user sees it; replies with an error when there
    /// is none.
    func namespaceSpace(at index: Int) -> KeySpace? {
        do {
            return try resolveNamespace(at: index)
        } catch {
            fail("ERR \(error.message)")
            return nil
        }
    }

    /// The namespace named by 64 hexadecimal digits at `index`, as the user sees it.
    func resolveNamespace(at index: Int) throws(CacheError) -> KeySpace {
        guard let user = session.user else { throw CacheError(.unauthorized, "authentication required") }
        guard let namespace = NamespaceID(hexadecimal: arguments.bytes(at: index)) else {
            throw CacheError(
                .invalidArgument,
                "a namespace is the 64 hexadecimal digits that KV.DESCRIBE returned"
            )
        }
        if let lastSpace, lastSpace.namespace == namespace, lastSpace.tenant == user.tenant {
            return lastSpace
        }
        // Another node has looked whether its client's tenant knows the namespace; what it asks for does not go on to a
        // third. A client is answered the same for a namespace of others as for none.
        guard
            let space = session.peer == nil
                ? store.visibleSpace(tenant: user.tenant, namespace: namespace)
                : store.space(tenant: user.tenant, namespace: namespace)?.onThisNode
        else {
            throw CacheError(
                .invalidArgument,
                "unknown namespace: send KV.DESCRIBE with its description first"
            )
        }
        lastSpace = space
        return space
    }
}
