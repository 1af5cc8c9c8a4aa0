import Blocks
import DiskTier
import Synchronization
import TestSupport

/// A data directory of its own, a clock, and what a test does with a tier again and again.
final class TierFixture: Sendable {
    let directory: String
    let clock = VirtualClock()
    let removed = Mutex<[DiskRemovalReason: Int]>([:])
    let reopenings = Mutex<[DiskReopening]>([])
    private let owner: TemporaryDirectory?
    private let hot = Mutex<Set<BlockIdentity>>([])
    private let whenAsked = Mutex<(@Sendable () -> Void)?>(nil)
    private let whenRemoved = Mutex<(@Sendable () -> Void)?>(nil)

    init() throws {
        let owner = try TemporaryDirectory()
        self.owner = owner
        directory = owner.path
    }

    init(directory: String) {
        owner = nil
        self.directory = directory
    }

    func open(
        budget: Int = 256 << 20,
        unit: Int? = nil,
        segment: Int? = nil,
        blockCountMax: Int = 100_000,
        unitCountMax: Int = 8_192,
        compresses: Bool = true
    ) throws -> DiskTier {
        let configuration = DiskTierConfiguration(
            directory: directory,
            byteCountMax: budget,
            unitByteCount: unit,
            segmentByteCount: segment,
            blockCountMax: blockCountMax,
            unitCountMax: unitCountMax,
            compresses: compresses,
            shouldCarry: { [self] identity in
                whenAsked.withLock { $0 }?()
                return hot.withLock { $0.contains(identity) }
            },
            onReopening: { [self] reopening in reopenings.withLock { $0.append(reopening) } }
        )
        return try DiskTier.open(configuration, clock: clock) { [self] _, _, reason in
            removed.withLock { $0[reason, default: 0] += 1 }
            let action = whenRemoved.withLock { action in
                defer { action = nil }
                return action
            }
            action?()
        }
    }

    /// Has something done each time the tier asks whether a block is hot: while it drops a segment.
    func onAskingForHeat(_ action: (@Sendable () -> Void)?) { whenAsked.withLock { $0 = action } }

    /// Has something done once, when the next block leaves the tier.
    func onNextRemoval(_ action: @escaping @Sendable () -> Void) { whenRemoved.withLock { $0 = action } }

    func makeHot(_ block: TestBlock) { hot.withLock { _ = $0.insert(block.identity) } }

    func removedCount(_ reason: DiskRemovalReason) -> Int { removed.withLock { $0[reason] ?? 0 } }

    /// Writes blocks as units of the tier's size.
    func put(_ blocks: some Sequence<TestBlock>, into tier: DiskTier) throws {
        var unit = try tier.beginUnit()
        for block in blocks {
            try append(block, to: unit)
            if unit.isFull {
                try unit.finish()
                unit = try tier.beginUnit()
            }
        }
        try unit.finish()
    }

    func append(_ block: TestBlock, to unit: UnitWriter) throws {
        let payload = block.payload
        let key = block.key
        try unsafe payload.withUnsafeBytes { bytes in
            try unsafe unit.append(
                header: block.header(at: clock.unixMilliseconds()),
                key: key.span.bytes,
                payload: bytes
            )
        }
    }

    /// Finishes an empty unit: it carries what waits.
    func flush(_ tier: DiskTier) throws { try tier.beginUnit().finish() }

    /// What a read gave.
    enum ReadResult: Equatable {
        case right(BlockAttributes)
        case miss
        case wrong
    }

    func read(_ block: TestBlock, from tier: DiskTier) throws -> ReadResult {
        var bytes = [UInt8](repeating: 0, count: block.byteCount)
        let key = block.key
        let header = try unsafe bytes.withUnsafeMutableBytes { buffer in
            try unsafe tier.read(block.identity, key: key.span.bytes, into: buffer)
        }
        guard let header else { return .miss }
        return bytes == block.payload && header.identity == block.identity
            ? .right(header.attributes) : .wrong
    }

    func isRight(_ block: TestBlock, in tier: DiskTier) throws -> Bool {
        if case .right = try read(block, from: tier) { return true }
        return false
    }
}
