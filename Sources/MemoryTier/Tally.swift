/// A number of blocks and of the bytes of their extents.
struct Tally {
    var blockCount = 0
    var byteCount = 0

    mutating func add(_ bytes: Int) {
        blockCount += 1
        byteCount += bytes
    }

    mutating func subtract(_ bytes: Int) {
        blockCount -= 1
        byteCount -= bytes
    }

    static func += (left: inout Tally, right: Tally) {
        left.blockCount += right.blockCount
        left.byteCount += right.byteCount
    }
}
