package import Blocks
internal import DiskTier
internal import MemoryTier

extension BlockStore {
    /// Where a block can be read now.
    package struct Residence: Sendable, Hashable {
        /// Whether memory holds it.
        package let isInMemory: Bool
        /// Whether the disk holds it, durably.
        package let isOnDisk: Bool
        /// Its tokens, 0 when nobody said.
        package let tokenCount: Int
    }

    /// Where a block can be read now.
    package func residence(of identity: BlockIdentity) -> Residence {
        let inMemory = memory.summary(identity)
        let onDisk = disk?.summary(identity)
        return Residence(
            isInMemory: inMemory != nil,
            isOnDisk: onDisk != nil,
            tokenCount: Int((inMemory ?? onDisk)?.attributes.tokenCount ?? 0)
        )
    }

    /// Visits the blocks of a space that memory holds, with what they are and how often each was read.
    package func surveyMemory(
        _ space: KeySpace,
        visit: (_ key: [UInt8], _ hits: UInt32, BlockSummary) -> Void
    ) {
        var cursor: UInt64 = 0
        repeat {
            cursor = memory.scan(prefix: space.prefix, cursor: cursor, count: 4_096) {
                _,
                key,
                summary,
                hits in
                visit(key, hits, summary)
            }
        } while cursor != 0
    }

    /// Where a survey of a namespace goes on.
    package enum SurveyPlace: Sendable, Hashable {
        case memory(UInt64)
        case disk(UInt64)

        /// The beginning.
        package static let start = SurveyPlace.memory(0)
    }

    /// Visits about `count` of a namespace's blocks, in memory first, then on disk, each at least once over all steps;
    /// blocks, since keys on disk are read from there.
    ///
    /// - Returns: Where to go on; `nil` at the end.
    package func survey(
        _ space: KeySpace,
        from place: SurveyPlace,
        count: Int,
        visit: (BlockIdentity, _ key: [UInt8]) -> Void
    ) -> SurveyPlace? {
        switch place {
        case .memory(let cursor):
            let next = memory.scan(prefix: space.prefix, cursor: cursor, count: count) {
                identity,
                key,
                _,
                _ in
                visit(identity, key)
            }
            if next != 0 { return .memory(next) }
            return disk == nil ? nil : .disk(0)
        case .disk(let cursor):
            let next = try? disk?.scan(prefix: space.prefix, cursor: cursor, count: count) {
                identity,
                key,
                _ in
                visit(identity, key)
            }
            guard let next, next != 0 else { return nil }
            return .disk(next)
        }
    }
}
