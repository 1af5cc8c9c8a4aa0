internal import Blocks
internal import RESP

/// What KV.BORROW answered.
struct Loan: Hashable, Sendable {
    /// Where a lent block lies.
    struct Place: Hashable, Sendable {
        let offset: Int
        let byteCount: Int
        /// XXH3 of the payload.
        let checksum: UInt64
    }

    /// What became of one key.
    enum Answer: Hashable, Sendable {
        case lent(Place)
        /// The node has the block and lends it to nobody now.
        case held
        case absent
    }

    /// What gives the blocks back; `nil` when nothing is lent.
    let id: Int64?
    let answers: [Answer]

    /// Reads `[loan or nil, [[offset, bytes, XXH3], held or nil ...]]`.
    init?(_ reply: Reply?, keyCount: Int) {
        guard let parts = reply?.elements, parts.count == 2, let answers = parts[1].elements,
            answers.count == keyCount
        else { return nil }
        id = parts[0].integer
        self.answers = answers.map { answer in
            if let figures = answer.elements, figures.count == 3,
                let offset = figures[0].integer.flatMap({ Int(exactly: $0) }),
                let byteCount = figures[1].integer.flatMap({ Int(exactly: $0) }),
                let checksum = figures[2].integer
            {
                return .lent(
                    Place(offset: offset, byteCount: byteCount, checksum: UInt64(bitPattern: checksum))
                )
            }
            return answer.text == "held" ? .held : .absent
        }
    }
}
