/// The verbs a node knows, by their names on the wire.
enum Command: String, CaseIterable, Sendable {
    case hello, auth, select, ping, echo, quit, reset, client, command, info, config, debug, memory
    case get, set, setex, psetex, setnx, mget, mset, strlen, getrange
    case exists, del, unlink, ttl, pttl, expiretime, pexpiretime, expire, pexpire, expireat, pexpireat,
        persist
    case touch, type, scan, dbsize, flushdb, flushall
    case kvDescribe = "kv.describe"
    case kvMatch = "kv.match"
    case kvGet = "kv.get"
    case kvPut = "kv.put"
    case kvAttach = "kv.attach"
    case kvBorrow = "kv.borrow"
    case kvReserve = "kv.reserve"
    case kvCommit = "kv.commit"
    case kvAbort = "kv.abort"
    case kvPin = "kv.pin"
    case kvUnpin = "kv.unpin"
    case kvPrefetch = "kv.prefetch"
    case kvRelease = "kv.release"
    case kvDel = "kv.del"
    case kvClear = "kv.clear"
    case kvForget = "kv.forget"
    case kvStats = "kv.stats"
    case kvExplain = "kv.explain"
    case kvHot = "kv.hot"
    case kvHelp = "kv.help"
    case kvPeer = "kv.peer"
    case kvHeld = "kv.held"
    case kvFetch = "kv.fetch"
    case kvCluster = "kv.cluster"
    case cluster
}
