internal import Blocks
internal import MemoryTier
internal import RESP
internal import Tiering

/// Payloads on their way out: each is proved against its checksum before its last byte leaves.
extension RedisConnection {
    /// Payloads below this many bytes are copied into the reply: cheaper than a buffer and a lease of their own.
    static let copiedByteCountMax = 16 << 10
    /// The end of a longer payload is kept back until the checksum of all of it is proved: meanwhile the client takes
    /// what is before it, and the bytes are still in the processor's cache from being sent.
    static let heldBackByteCount = 64 << 10

    /// A bulk string of a whole payload; `false`, and nothing sent, if its bytes are not what they were.
    ///
    /// Where that comes to light when pieces are gone already, the connection ends short of the announced length: the
    /// client never has a whole payload of wrong bytes.
    func send(_ lease: BlockLease, from space: KeySpace) -> Bool {
        let byteCount = lease.payloadByteCount
        guard !isMuted, byteCount > 2 * Self.heldBackByteCount else {
            guard isProved(lease, in: space) else { return false }
            sendProved(lease, 0..<byteCount)
            return true
        }
        reply.bulkHeader(byteCount: byteCount)
        handOver()
        let provedFrom = byteCount - Self.heldBackByteCount
        transport?.send(lease, 0..<provedFrom)
        transport?.flush()
        guard isProved(lease, in: space) else {
            closeNow()
            return true
        }
        transport?.send(lease, provedFrom..<byteCount)
        hasUnflushed = true
        reply.lineEnd()
        return true
    }

    private func isProved(_ lease: BlockLease, in space: KeySpace) -> Bool {
        if unsafe PayloadChecksum.of(lease.payload) == lease.payloadChecksum { return true }
        store.foundCorrupt(lease, in: space)
        return false
    }

    /// A bulk string of part of a payload that was proved: large parts go out from the arena, without a copy.
    func sendProved(_ lease: BlockLease, _ range: Range<Int>) {
        guard !isMuted else { return }
        guard range.count >= Self.copiedByteCountMax else {
            // SAFETY: the range was taken from this payload, and the lease is alive.
            return unsafe reply.bulk(copying: UnsafeRawBufferPointer(rebasing: lease.payload[range]))
        }
        reply.bulkHeader(byteCount: range.count)
        handOver()
        transport?.send(lease, range)
        hasUnflushed = true
        reply.lineEnd()
    }
}
