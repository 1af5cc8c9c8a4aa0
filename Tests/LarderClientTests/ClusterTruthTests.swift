import Blocks
import LarderClient
import Testing

@Suite("What a client of a cluster says of nodes that do not answer")
struct ClusterTruthTests {
    @Test("a delete that did not reach every node says which, and the tools' face throws it")
    func silentNodes() async throws {
        let server = try FakeServer(
            serving { words, connection in
                connection.send(
                    "-CLUSTERDOWN \(words[0]) 3 blocks, but node-b, node-c.x did not answer and may still hold some: "
                        + "repeat this when it is back\r\n"
                )
            }
        )
        let subject = try ClientUnderTest(port: server.port)
        let keys = try ClientUnderTest.keys(4)
        let counts = [
            await subject.client.delete(subject.namespace, keys: keys),
            await subject.client.unpin(subject.namespace, keys: keys),
        ]
        for count in counts {
            #expect(!count.isComplete)
            #expect(count.silentNodes == ["node-b", "node-c.x"])
            #expect(count.failure?.code == .incomplete)
        }
        await #expect(throws: LarderClientError.self) {
            _ = try await subject.client.admin.delete(subject.namespace, keys: keys)
        }
        #expect(subject.client.statistics.failureCounts[.incomplete] == 2)
    }

    @Test("an owner that hangs leaves the door half of a load's time")
    func hungOwner() async throws {
        let silent = try FakeServer { $0.waitForClose() }
        let silentPort = silent.port
        let door = try FakeServer(
            serving { words, connection in
                switch words[0] {
                case "KV.CLUSTER":
                    // The port of the node that is asked is of no use here: the view's only member is the one that hangs.
                    return connection.send(
                        "*3\r\n:7\r\n$1\r\na\r\n*1\r\n*11\r\n$1\r\nb\r\n$9\r\n127.0.0.1\r\n:\(silentPort)\r\n:0\r\n:1\r\n"
                            + "$6\r\nactive\r\n:1\r\n:0\r\n:16384\r\n:1\r\n:0\r\n"
                    )
                case "KV.GET": return connection.send("*1\r\n$4\r\nbody\r\n")
                default: return connection.send("-ERR unknown command\r\n")
                }
            }
        )
        var configuration = LarderClientConfiguration(endpoint: .tcp(host: "127.0.0.1", port: door.port))
        configuration.loadTimeout = .seconds(4)
        let cluster = LarderCluster(configuration)
        defer { cluster.close() }
        let namespace = cluster.describe(try NamespaceDescription(json: Array(#"{"model":"m"}"#.utf8)))
        #expect(await cluster.refresh())
        let memory = Region(4)
        let loaded = await unsafe cluster.load(
            namespace,
            keys: try ClientUnderTest.keys(1),
            into: [memory.buffer]
        )
        #expect(loaded.isComplete)
        #expect(memory.bytes == Array("body".utf8))
        #expect(silent.connectionCount > 0)
    }
}
