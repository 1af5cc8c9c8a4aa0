/// How blocks lie in a full memory tier.
enum MemoryCodec: String, CaseIterable {
    /// As they came.
    case none
    /// Coded as on disk: the exponent code for floats, LZ4 where bytes repeat.
    case exponent
}
