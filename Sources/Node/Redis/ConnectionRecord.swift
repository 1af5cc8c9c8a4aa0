internal import Synchronization

/// What CLIENT LIST tells of a connection; written by the connection, read by all.
final class ConnectionRecord: Sendable {
    /// What changes.
    struct State: Sendable {
        var name = ""
        var user = ""
        var tenant = ""
        var database = 0
        var version = 2
        var lastCommand = "NULL"
        var lastUsedAt: UInt64
        var libraryName = ""
        var libraryVersion = ""
    }

    let id: UInt64
    let address: String
    let localAddress: String
    let createdAt: UInt64
    let state: Mutex<State>

    init(id: UInt64, address: String, localAddress: String, now: UInt64) {
        self.id = id
        self.address = address
        self.localAddress = localAddress
        createdAt = now
        state = Mutex(State(lastUsedAt: now))
    }

    /// One line as Redis writes it; figures that we do not keep are 0.
    func line(now: UInt64) -> String {
        let state = state.withLock { $0 }
        func seconds(since time: UInt64) -> UInt64 { now > time ? (now - time) / 1_000_000_000 : 0 }
        return "id=\(id) addr=\(address) laddr=\(localAddress) fd=0 name=\(state.name)"
            + " age=\(seconds(since: createdAt)) idle=\(seconds(since: state.lastUsedAt)) flags=N"
            + " db=\(state.database) sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0"
            + " rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=\(state.lastCommand) user=\(state.user)"
            + " redir=-1 resp=\(state.version) lib-name=\(state.libraryName) lib-ver=\(state.libraryVersion)"
    }
}

/// The connections there are, and the numbers they get.
final class ConnectionTable: Sendable {
    private struct State {
        var records: [UInt64: ConnectionRecord] = [:]
        var nextID: UInt64 = 1
    }

    private let state = Mutex(State())

    /// Enters a connection.
    func add(address: String, localAddress: String, now: UInt64) -> ConnectionRecord {
        state.withLock { state in
            let record = ConnectionRecord(
                id: state.nextID,
                address: address,
                localAddress: localAddress,
                now: now
            )
            state.nextID += 1
            state.records[record.id] = record
            return record
        }
    }

    /// Takes a connection out.
    func remove(_ id: UInt64) {
        state.withLock { _ = $0.records.removeValue(forKey: id) }
    }

    /// All connections by age.
    var all: [ConnectionRecord] {
        state.withLock { Array($0.records.values) }.sorted { $0.id < $1.id }
    }
}
