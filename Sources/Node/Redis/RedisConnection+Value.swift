internal import Blocks
internal import MemoryTier
internal import RESP
internal import Tiering

extension RedisConnection {
    /// Runs `body` with a place that holds the value at `valueIndex`: the one its payload was received into, or a new
    /// one with a copy of a small value, for which it may have to wait.
    func withValue(
        at valueIndex: Int,
        key keyIndex: Int,
        in space: KeySpace,
        until deadline: UInt64? = nil,
        _ body: @escaping (RedisConnection, Result<ReceivedPayload, CacheError>) -> Void
    ) {
        switch fates.removeValue(forKey: valueIndex) {
        case .held(let payload): return body(self, .success(payload))
        case .refused(let error): return body(self, .failure(error))
        case .discarded:
            return body(self, .failure(CacheError(.invalidArgument, Self.keyRule)))
        case nil: break
        }
        guard arguments.isKey(at: keyIndex) else {
            return body(self, .failure(CacheError(.invalidArgument, Self.keyRule)))
        }
        let byteCount = arguments[valueIndex].count
        guard byteCount > 0 else {
            return body(
                self,
                .failure(CacheError(.invalidArgument, "an empty value is not stored: 1 byte at least"))
            )
        }
        do {
            let reservation = try store.reserve(
                space,
                key: arguments.key(at: keyIndex),
                payloadByteCount: byteCount
            )
            // SAFETY: the reservation was made for exactly this many bytes.
            unsafe arguments[valueIndex].withUnsafeBytes { unsafe reservation.payload.copyMemory(from: $0) }
            body(self, .success(ReceivedPayload(reservation: reservation)))
        } catch {
            var deadline = deadline
            guard error.isWorthWaiting, hasSpaceTime(&deadline) else {
                store.countRefusal(error)
                return body(self, .failure(error))
            }
            let resume = later { (connection: RedisConnection, _: Void) in
                connection.withValue(at: valueIndex, key: keyIndex, in: space, until: deadline, body)
            }
            store.whenSpaceFrees { resume(()) }
        }
    }

    /// Whether a put may still wait for space; sets the deadline the first time.
    func hasSpaceTime(_ deadline: inout UInt64?) -> Bool {
        let now = store.clock.monotonicNanoseconds()
        let end = deadline ?? now &+ UInt64(clamping: Int64(limits.spaceTimeout.inSeconds * 1e9))
        deadline = end
        return end > now
    }

    static let keyRule = "a key has 1 to \(Limits.keyByteCountMax) bytes"
}
