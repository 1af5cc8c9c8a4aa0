package import Blocks

/// What has been announced of one namespace: each block's hash and where it was said to lie.
///
/// The truth is told by comparison: whoever knows where a block lies now gets the events that make the announced the
/// true. So it does not matter in which order notes of changes arrive, or how many of them are lost, as long as each
/// block is compared once after its last change. An entry takes 110 to 220 bytes.
package struct AnnouncedBlocks: Sendable {
    private struct Place: Hashable, Sendable {
        let digest: SIMD2<UInt64>

        func hash(into hasher: inout Hasher) {
            hasher.combine(digest.x)
        }
    }

    private struct Entry: Sendable {
        let hash: EventHash
        let group: UInt32?
        var mediums: EventMediums
        /// The block before it in its chain; zero when that is not known.
        let parent: SIMD2<UInt64>
    }

    /// Parts that the blocks are spread over: growth moves one at a time, and so does `identities(inPart:)`.
    package static let partCount = 64

    private let prefix: KeyPrefix
    private var parts = [[Place: Entry]](repeating: [:], count: partCount)
    /// Blocks announced.
    package private(set) var count = 0

    /// Nothing announced of a namespace.
    package init(prefix: KeyPrefix) {
        self.prefix = prefix
    }

    /// Whether the block is announced on any medium.
    package func contains(_ identity: BlockIdentity) -> Bool {
        parts[Self.part(of: identity)][Place(digest: identity.digest)] != nil
    }

    /// The blocks of one part, for a comparison of all.
    package func identities(inPart part: Int) -> [BlockIdentity] {
        parts[part].keys.map { BlockIdentity(prefix: prefix, digest: $0.digest) }
    }

    /// What is announced of the blocks of one part, for those who come later.
    package func announced(inPart part: Int) -> [(block: EventBlock, mediums: EventMediums)] {
        parts[part].values.map { (EventBlock(hash: $0.hash, group: $0.group), $0.mediums) }
    }

    /// Announces a block that was not.
    ///
    /// - Parameters:
    ///   - identity: Which block.
    ///   - key: Its key.
    ///   - predecessor: The key before it in its chain, if that is known.
    ///   - mediums: Where it lies now; nothing is announced of a block that is nowhere.
    ///   - tokenCount: Its tokens.
    ///   - collector: Gets the events.
    package mutating func announce(
        _ identity: BlockIdentity,
        key: [UInt8],
        after predecessor: [UInt8]?,
        on mediums: EventMediums,
        tokenCount: Int,
        into collector: inout EventCollector
    ) {
        guard !mediums.isEmpty, !contains(identity) else { return }
        let block = EventBlock(key: key)
        // A key of another group does not precede it in its chain.
        let parent = predecessor.map(EventBlock.init(key:)).flatMap { $0.group == block.group ? $0 : nil }
        let parentDigest = parent == nil ? SIMD2() : predecessor.map(digest(of:)) ?? SIMD2()
        let entry = Entry(hash: block.hash, group: block.group, mediums: mediums, parent: parentDigest)
        parts[Self.part(of: identity)][Place(digest: identity.digest)] = entry
        count += 1
        for medium in EventMediums.all where mediums.contains(medium) {
            collector.store(block, parent: parent?.hash, tokenCount: tokenCount, on: medium)
        }
    }

    /// Tells the difference between what was announced of a block and where it lies now.
    package mutating func settle(
        _ identity: BlockIdentity,
        on mediums: EventMediums,
        tokenCount: Int,
        into collector: inout EventCollector
    ) {
        let part = Self.part(of: identity)
        let place = Place(digest: identity.digest)
        guard let entry = parts[part][place], entry.mediums != mediums else { return }
        let block = EventBlock(hash: entry.hash, group: entry.group)
        let arrived = mediums.subtracting(entry.mediums)
        if !arrived.isEmpty {
            let parent = parentHash(of: entry)
            for medium in EventMediums.all where arrived.contains(medium) {
                collector.store(block, parent: parent, tokenCount: tokenCount, on: medium)
            }
        }
        let left = entry.mediums.subtracting(mediums)
        for medium in EventMediums.all where left.contains(medium) { collector.remove(block, from: medium) }
        if mediums.isEmpty {
            parts[part][place] = nil
            count -= 1
        } else {
            parts[part][place]?.mediums = mediums
        }
    }

    private func parentHash(of entry: Entry) -> EventHash? {
        guard entry.parent != SIMD2() else { return nil }
        return parts[Self.part(of: entry.parent)][Place(digest: entry.parent)]?.hash
    }

    private func digest(of key: [UInt8]) -> SIMD2<UInt64> {
        // Bytes are bytes: the view is only called unsafe for element types with invalid patterns.
        unsafe BlockIdentity(prefix: prefix, key: key.span.bytes).digest
    }

    private static func part(of identity: BlockIdentity) -> Int { part(of: identity.digest) }

    private static func part(of digest: SIMD2<UInt64>) -> Int {
        Int(truncatingIfNeeded: digest.y) & (partCount - 1)
    }
}
