internal import Blocks
internal import MemoryTier

/// A payload that is being received into its place in the arena.
struct PayloadIntake {
    /// The place; given back if the connection ends before the payload does.
    let reservation: Reservation
    private var filledByteCount = 0

    init(_ reservation: Reservation) {
        self.reservation = reservation
    }

    /// Where the next bytes belong.
    var remainder: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: reservation.payload[filledByteCount...])
    }

    /// Records that `byteCount` bytes have come.
    mutating func advance(by byteCount: Int) {
        filledByteCount += byteCount
    }
}

/// What became of a payload that was announced.
enum PayloadFate {
    /// Received whole, not committed yet.
    case held(Reservation)
    /// Read and dropped, because there was no place for it.
    case refused(CacheError)
    /// Read and dropped, because nobody wanted it.
    case discarded
}
