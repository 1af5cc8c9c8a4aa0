internal import Blocks

/// Blocks that lie in the node's memory and are read where they are, without a copy.
///
/// They stay there until this object goes, or the connection that borrowed them is lost; ``withPayload(at:_:)`` tells.
/// The node lends at most half of its memory: keep loans short.
public final class BorrowedBlocks: Sendable {
    private let loan: Loan
    private let attachment: Attachment
    private let connection: Connection
    private let timeout: Duration

    init(_ loan: Loan, of attachment: Attachment, over connection: Connection, timeout: Duration) {
        self.loan = loan
        self.attachment = attachment
        self.connection = connection
        self.timeout = timeout
    }

    deinit { connection.giveBack(loan.id, timeout: timeout) }

    /// How many keys were asked for.
    public var count: Int { loan.answers.count }

    /// Bytes of the payload of the key at `index`; `nil` when it was not lent.
    public func byteCount(at index: Int) -> Int? { place(at: index)?.byteCount }

    /// How many of the first keys were lent.
    public var lentPrefixCount: Int {
        loan.answers.prefix { if case .lent = $0 { true } else { false } }.count
    }

    /// Reads a payload in place.
    ///
    /// - Parameters:
    ///   - index: which of the keys.
    ///   - provesChecksum: whether the payload is read once before, to prove that it is what was stored.
    ///   - body: gets the bytes, which it must not keep.
    /// - Returns: what `body` made of them; `nil`, and `body`'s result to be thrown away, when the block was not lent, is
    ///   not proved, or the loan ended while `body` was reading.
    public func withPayload<Result>(
        at index: Int,
        provesChecksum: Bool = true,
        _ body: (RawSpan) throws -> Result
    ) rethrows -> Result? {
        guard let place = place(at: index), attachment.isLive,
            let bytes = unsafe attachment.arena.part(offset: place.offset, byteCount: place.byteCount)
        else { return nil }
        if provesChecksum, unsafe PayloadChecksum.of(bytes) != place.checksum { return nil }
        // SAFETY: the arena stays mapped while this object lives, and the span does not leave the call.
        let span = unsafe bytes.bytes
        let result = try body(span)
        return attachment.isLive ? result : nil
    }

    private func place(at index: Int) -> Loan.Place? {
        guard loan.answers.indices.contains(index), case .lent(let place) = loan.answers[index] else {
            return nil
        }
        return place
    }
}
