/// How stored bytes are coded; one byte on disk, so values keep their meaning for ever.
public enum PayloadCodec: UInt8, Sendable, CaseIterable {
    /// As the client gave them.
    case raw = 0
    /// LZ4 over the payload in pieces.
    case lz4 = 1
    /// 16-bit elements split into two byte planes, then LZ4.
    case lz4Planes = 2
    /// Floats with their exponents coded by rank, and LZ4 behind it where that pays; each piece tells its format.
    case exponent = 3
}
