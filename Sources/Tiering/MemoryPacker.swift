internal import MemoryTier
internal import PayloadCoding
internal import Synchronization

/// Codes blocks in memory when it gets full, oldest first, on one thread, so that memory holds more of them.
///
/// What was read since it was looked at last goes to the queue's end: blocks in use stay readable in place. Nothing is
/// lost by what this does not reach: it is evicted as it would be without.
final class MemoryPacker: Sendable {
    private struct Entry {
        let handle: BlockHandle
        var hitCount: UInt32
        /// How often it could not be packed when it was looked at.
        var passCount = 0
    }

    private struct State {
        /// A ring would do; the array is cut when half of it is behind the head.
        var queue: [Entry] = []
        var head = 0
        var isClosed = false

        var count: Int { queue.count - head }
    }

    /// Unused memory under which packing begins, of 1.
    private static let unusedShareMin = 0.25
    /// How often a block that is read or not yet on disk is looked at again.
    private static let passCountMax = 16
    /// How long to wait when nothing is to be done, milliseconds.
    private static let pauseMilliseconds = 20

    private let memory: MemoryTier
    private let counters: StoreCounters
    private let queueCountMax: Int
    private let state = Mutex(State())
    private let doorbell = Doorbell()
    private let thread = Mutex<ServiceThread?>(nil)

    /// A packer that remembers at most `queueCountMax` blocks.
    init(memory: MemoryTier, counters: StoreCounters, queueCountMax: Int) {
        self.memory = memory
        self.counters = counters
        self.queueCountMax = max(1, queueCountMax)
    }

    /// Starts the thread.
    func start() {
        thread.withLock { $0 = ServiceThread(name: "larder-pack") { self.run() } }
    }

    /// Stops the thread after the block under way.
    func stop() {
        state.withLock { $0.isClosed = true }
        doorbell.ring()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    /// Says that a block may be packed from now on: it came to memory, and another tier has it or need not.
    func offer(_ handle: BlockHandle) {
        append(Entry(handle: handle, hitCount: 0))
    }

    private func append(_ entry: Entry) {
        state.withLock { state in
            // The oldest is forgotten: it stays as it is.
            if state.count >= queueCountMax { state.head += 1 }
            state.queue.append(entry)
            if state.head > 1_024, state.head > state.queue.count / 2 {
                state.queue.removeFirst(state.head)
                state.head = 0
            }
        }
    }

    private func next() -> Entry? {
        state.withLock { state in
            guard !state.isClosed, state.head < state.queue.count else { return nil }
            defer { state.head += 1 }
            return state.queue[state.head]
        }
    }

    private var isWanted: Bool {
        memory.unusedByteCount < Int(Double(memory.arena.byteCount) * Self.unusedShareMin)
    }

    private func run() {
        let scratch = CodecScratch()
        var room: [UInt8] = []
        while !state.withLock({ $0.isClosed }) {
            // Each is looked at once: those in use come again with the next round.
            var remaining = state.withLock { $0.count }
            var packedCount = 0
            while remaining > 0, isWanted, let entry = next() {
                remaining -= 1
                if pack(entry, scratch: scratch, room: &room) { packedCount += 1 }
            }
            if packedCount == 0 { doorbell.wait(milliseconds: Self.pauseMilliseconds) }
        }
    }

    private func pack(_ entry: Entry, scratch: CodecScratch, room: inout [UInt8]) -> Bool {
        var entry = entry
        switch memory.pack(entry.handle, hitCount: entry.hitCount, scratch: scratch, room: &room) {
        case .packed:
            counters.packs.add()
            return true
        case .used(let hitCount):
            entry.hitCount = hitCount
            append(entry)
        case .busy, .noRoom:
            entry.passCount += 1
            if entry.passCount < Self.passCountMax { append(entry) }
        case .incompressible, .gone: break
        }
        return false
    }
}
