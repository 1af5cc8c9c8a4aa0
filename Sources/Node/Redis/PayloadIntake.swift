internal import Blocks
internal import MemoryTier

/// A payload that is being received into its place in the arena.
///
/// Its checksum is computed piece by piece as the bytes come, while they are in the processor's cache and the sender
/// is still sending.
final class PayloadIntake {
    /// The place; given back if the connection ends before the payload does.
    let reservation: Reservation
    private var checksum = PayloadChecksumStream()
    private var filledByteCount = 0

    init(_ reservation: Reservation) {
        self.reservation = reservation
    }

    /// Where the next bytes belong.
    var remainder: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: reservation.payload[filledByteCount...])
    }

    /// Records that the next `byteCount` bytes have been written to the front of `remainder`.
    func advance(by byteCount: Int) {
        // SAFETY: the bytes lie inside the reservation, which this object owns.
        unsafe checksum.update(UnsafeRawBufferPointer(rebasing: remainder[..<byteCount]))
        filledByteCount += byteCount
    }

    /// The payload once it is whole.
    var received: ReceivedPayload {
        ReceivedPayload(reservation: reservation, checksum: checksum.value())
    }
}

/// A payload in its place, not committed yet.
struct ReceivedPayload {
    /// The place; given back when this goes, unless it is committed.
    let reservation: Reservation
    /// The payload's checksum, if it was computed on the way in.
    var checksum: UInt64?
}

/// What became of a payload that was announced.
enum PayloadFate {
    /// Received whole, not committed yet.
    case held(ReceivedPayload)
    /// Read and dropped, because there was no place for it.
    case refused(CacheError)
    /// Read and dropped, because nobody wanted it.
    case discarded
}
