import Synchronization

/// What the tier counts from its start on; any thread.
final class DiskCounters: Sendable {
    let segmentsDropped = Atomic<Int>(0)
    let segmentsDroppedByCount = Atomic<Int>(0)
    let unitsWritten = Atomic<Int>(0)
    let unitsFailed = Atomic<Int>(0)
    let reopenings = Atomic<Int>(0)
    let blocksWritten = Atomic<Int>(0)
    let payloadByteCountWritten = Atomic<Int>(0)
    let storedByteCountWritten = Atomic<Int>(0)
    let tableByteCountWritten = Atomic<Int>(0)
    let blocksCarried = Atomic<Int>(0)
    let byteCountCarried = Atomic<Int>(0)
    let reads = Atomic<Int>(0)
    let byteCountRead = Atomic<Int>(0)
    let blocksDamaged = Atomic<Int>(0)
    let blocksByCodec = Mutex<[UInt8: Int]>([:])
}

extension Atomic where Value == Int {
    /// Adds, as a counter that orders nothing else.
    func count(_ amount: Int = 1) { add(amount, ordering: .relaxed) }

    /// The count so far.
    var value: Int { load(ordering: .relaxed) }
}
