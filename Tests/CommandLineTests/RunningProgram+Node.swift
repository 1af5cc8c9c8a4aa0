import Foundation
import Testing

extension RunningProgram {
    /// A node on a free port, and its address.
    static func startNode(_ arguments: [String] = []) throws -> (node: RunningProgram, address: String) {
        let (node, fields) = try startNodeReading(arguments)
        return (node, try #require(fields["address"]))
    }

    /// The same, with all that its ready line says.
    static func startNodeReading(
        _ arguments: [String]
    ) throws -> (node: RunningProgram, ready: [String: String]) {
        let node = try RunningProgram(
            ["serve", "--port", "0", "--memory", "32MiB", "--log-format", "json"] + arguments
        )
        let ready = try #require(node.line(containing: #""message":"ready""#))
        let fields = try #require(try JSONSerialization.jsonObject(with: Data(ready.utf8)) as? [String: Any])
        return (node, fields.compactMapValues { $0 as? String })
    }
}
