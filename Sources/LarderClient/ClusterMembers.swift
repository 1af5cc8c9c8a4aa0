internal import RESP

/// Who is in a cluster, as one of its nodes sees it.
public struct ClusterMembers: Hashable, Sendable {
    /// One node.
    public struct Node: Hashable, Sendable {
        /// Its name.
        public let name: String
        /// Where it listens.
        public let host: String
        /// Its RESP port.
        public let port: UInt16
        /// Its control plane's port, 0 for none.
        public let controlPort: UInt16
        /// Its weight against the others'.
        public let weight: UInt32
        /// `joining`, `active` or `draining`.
        public let state: String
        /// Whether the node that was asked can reach it.
        public let isUp: Bool
        /// Milliseconds since it was heard.
        public let silenceMilliseconds: Int
        /// Slots that it owns, of 16,384.
        public let slotCount: Int
        /// Bytes of its memory tier.
        public let memoryByteCount: Int
        /// Bytes of its disk tier.
        public let diskByteCount: Int
    }

    /// Grows with each change that the asked node saw.
    public let epoch: Int
    /// The node that was asked.
    public let own: String
    /// All nodes, in the order of their names.
    public let nodes: [Node]
}

extension NodeLink {
    func clusterView(_ effort: CallEffort) async throws(LarderClientError) -> ClusterMembers {
        let reply = try await ask(Self.request("KV.CLUSTER", "VIEW"), effort)
        guard let parts = reply.elements, parts.count >= 3, let epoch = parts[0].integer,
            let own = parts[1].text,
            let nodes = parts[2].elements
        else { throw Self.unexpected("KV.CLUSTER", reply) }
        var members: [ClusterMembers.Node] = []
        for node in nodes {
            guard let fields = node.elements, fields.count >= 11, let name = fields[0].text,
                let host = fields[1].text, let port = fields[2].integer, let controlPort = fields[3].integer,
                let weight = fields[4].integer, let state = fields[5].text, let isUp = fields[6].integer,
                let silence = fields[7].integer, let slots = fields[8].integer,
                let memory = fields[9].integer,
                let disk = fields[10].integer
            else { throw Self.unexpected("KV.CLUSTER", reply) }
            members.append(
                ClusterMembers.Node(
                    name: name,
                    host: host,
                    port: UInt16(clamping: port),
                    controlPort: UInt16(clamping: controlPort),
                    weight: UInt32(clamping: weight),
                    state: state,
                    isUp: isUp == 1,
                    silenceMilliseconds: Int(clamping: silence),
                    slotCount: Int(clamping: slots),
                    memoryByteCount: Int(clamping: memory),
                    diskByteCount: Int(clamping: disk)
                )
            )
        }
        return ClusterMembers(epoch: Int(clamping: epoch), own: own, nodes: members)
    }

    func clusterFigures(_ effort: CallEffort) async throws(LarderClientError) -> [(
        name: String, value: String
    )] {
        let reply = try await ask(Self.request("KV.CLUSTER", "STATUS"), effort)
        guard let pairs = reply.pairs else { throw Self.unexpected("KV.CLUSTER", reply) }
        return pairs.compactMap { pair in
            guard let name = pair.key.text, let value = pair.value.text else { return nil }
            return (name, value)
        }
    }
}
