internal import Synchronization

/// Values by key, each in memory that is used again for the next one of its size.
final class BareStore: Sendable {
    private let values = Mutex<[[UInt8]: BareValue]>([:])
    private let memories = BareMemories()

    /// The value under a key.
    func value(_ key: [UInt8]) -> BareValue? { values.withLock { $0[key] } }

    /// Puts a value under a key; who sends the older one keeps it until then.
    func put(_ key: [UInt8], _ value: BareValue) {
        // The older value ends outside of the lock.
        _ = values.withLock { $0.updateValue(value, forKey: key) }
    }

    /// Takes a value away; whether there was one.
    func remove(_ key: [UInt8]) -> Bool { values.withLock { $0.removeValue(forKey: key) } != nil }

    /// Memory for a value that is not there yet.
    func make(byteCount: Int) -> BareValue { BareValue(byteCount: byteCount, memories) }
}

/// One value; its memory goes back with its last user.
@safe final class BareValue: @unchecked Sendable {
    // SAFETY of @unchecked Sendable: written by the one connection that receives it, and only read once it is stored.
    let memory: UnsafeMutableRawBufferPointer
    private let memories: BareMemories

    init(byteCount: Int, _ memories: BareMemories) {
        unsafe memory = memories.take(byteCount: byteCount)
        self.memories = memories
    }

    deinit { unsafe memories.giveBack(memory) }
}

/// Memory that was touched already, by size.
final class BareMemories: Sendable {
    /// Addresses: pointers are not Sendable.
    private let free = Mutex<[Int: [UInt]]>([:])

    /// As much as is asked for.
    func take(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        if let address = free.withLock({ $0[byteCount]?.popLast() }) {
            // SAFETY: the address came from giveBack with this length, and is nobody's now.
            return unsafe UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: address),
                count: byteCount
            )
        }
        let memory = unsafe BenchMemory.allocate(byteCount: byteCount)
        return unsafe UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: byteCount)
    }

    /// Keeps memory for the next value of its size.
    func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
        let address = UInt(bitPattern: memory.baseAddress)
        let byteCount = memory.count
        free.withLock { $0[byteCount, default: []].append(address) }
    }
}
