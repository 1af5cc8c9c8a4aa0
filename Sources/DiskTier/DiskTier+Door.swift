package import Blocks

// Stand-ins until the disk tier's own arrive.
extension DiskTier {
    package var byteCountMax: Int { 1 << 40 }
    package var unitByteCount: Int { 64 << 20 }
    package var pinnedByteCount: Int { 0 }
    package func blockCount(prefix: KeyPrefix, where isCounted: (BlockIdentity) -> Bool) -> Int { 0 }
}

extension UnitWriter {
    package func finish(isWanted: (_ ordinal: Int) -> Bool) throws(CacheError) { try finish() }
}
