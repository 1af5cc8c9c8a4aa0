internal import ArgumentParser

/// Where keys live: in a namespace, or among the plain Redis keys of a database.
struct PlaceOptions: ParsableArguments {
    @Option(
        name: .customLong("ns"),
        help: ArgumentHelp(
            "Namespace: 64 hexadecimal digits, its JSON description, or @FILE with the description.",
            valueName: "namespace"
        )
    )
    var namespace: String?

    @Option(
        help: ArgumentHelp(
            "Database of plain Redis keys, 0 to 15, when there is no --ns.",
            valueName: "number"
        )
    )
    var db = 0

    func validate() throws {
        guard (0...15).contains(db) else { throw ValidationError("--db is 0 to 15.") }
    }

    /// The namespace's identifier; `nil` for plain keys, whose database is selected.
    func identifier(_ connection: NodeConnection) throws(CommandFailure) -> [UInt8]? {
        if let namespace { return try NamespaceArgument.identifier(namespace, connection) }
        if db != 0 { _ = try connection.call("SELECT", String(db)) }
        return nil
    }
}
