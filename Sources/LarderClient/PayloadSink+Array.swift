internal import Synchronization

/// A sink for tools: gives each payload memory of its own.
final class ArraySink: PayloadSink {
    @safe private struct Regions: @unchecked Sendable {
        // SAFETY of @unchecked Sendable: guarded by the mutex; freed with the sink.
        @unsafe var buffers: [UnsafeMutableRawBufferPointer?]
    }

    private let regions: Mutex<Regions>

    init(count: Int) {
        regions = Mutex(unsafe Regions(buffers: Array(repeating: nil, count: count)))
    }

    deinit {
        regions.withLock { regions in
            unsafe regions.buffers.forEach { unsafe $0?.deallocate() }
        }
    }

    func region(forKeyAt index: Int, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        // SAFETY: freed by deinit, and the connection lets go of it before the load returns.
        unsafe regions.withLock { regions in
            guard unsafe regions.buffers.indices.contains(index), unsafe regions.buffers[index] == nil else {
                return nil
            }
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
            unsafe regions.buffers[index] = buffer
            return unsafe buffer
        }
    }

    /// The payloads that arrived.
    func take(where isLoaded: [Bool]) -> [[UInt8]?] {
        regions.withLock { regions in
            isLoaded.indices.map { index in
                guard isLoaded[index], unsafe regions.buffers.indices.contains(index) else { return nil }
                // SAFETY: the payload arrived whole, so every byte is initialized.
                return unsafe regions.buffers[index].map { unsafe Array($0) }
            }
        }
    }
}

/// Payloads of a tool, copied to memory that stays where it is.
final class CopiedPayloads: Sendable {
    let lent: LentPayloads

    init(_ payloads: [[UInt8]]) {
        lent = unsafe LentPayloads(
            payloads.map { payload in
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 64)
                unsafe buffer.copyBytes(from: payload)
                return UnsafeRawBufferPointer(buffer)
            }
        )
    }

    deinit {
        unsafe lent.buffers.forEach { unsafe $0.deallocate() }
    }
}
