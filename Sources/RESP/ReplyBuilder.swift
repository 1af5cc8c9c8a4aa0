/// Puts the events of a parser together to whole replies.
package struct ReplyBuilder: Sendable {
    /// Elements that room is made for when they are only announced.
    private static let reservedCountMax = 64

    private let byteCountMax: Int
    private var open: [Aggregate] = []
    private var bulk: [UInt8] = []
    private var byteCount = 0

    private struct Aggregate {
        var kind: ReplyAggregate
        var remaining: Int
        var elements: [Reply] = []
    }

    /// A builder that holds at most `byteCountMax` bytes of bulk strings for one reply.
    package init(byteCountMax: Int = 64 << 20) {
        self.byteCountMax = byteCountMax
    }

    /// Takes the parser's next event, and the bytes it was found in; returns the reply that it completes.
    package mutating func add(_ event: ReplyEvent, of bytes: RawSpan) throws(ReplyProtocolError) -> Reply? {
        switch event {
        case .status(let text): return complete(.status(text))
        case .failure(let failure): return complete(.failure(failure))
        case .integer(let value): return complete(.integer(value))
        case .double(let value): return complete(.double(value))
        case .boolean(let value): return complete(.boolean(value))
        case .bigNumber(let text): return complete(.bigNumber(text))
        case .null: return complete(.null)
        case .bulkBegins(let announced):
            byteCount += announced
            guard byteCount <= byteCountMax else {
                throw ReplyProtocolError("a reply holds more than \(byteCountMax) bytes")
            }
            // Memory grows with the bytes that come, not with those announced.
            bulk.reserveCapacity(min(announced, 4 << 10))
            return nil
        case .bulkPiece(let range):
            // SAFETY: the bytes are copied before the call returns.
            unsafe bytes.extracting(range).withUnsafeBytes { unsafe bulk.append(contentsOf: $0) }
            return nil
        case .bulkEnds:
            let whole = bulk
            bulk = []
            return complete(.bulk(whole))
        case .aggregateBegins(let kind, let count):
            guard count > 0 else { return complete(Self.close(Aggregate(kind: kind, remaining: 0))) }
            var aggregate = Aggregate(kind: kind, remaining: count)
            aggregate.elements.reserveCapacity(min(count, Self.reservedCountMax))
            open.append(aggregate)
            return nil
        }
    }

    private mutating func complete(_ value: Reply) -> Reply? {
        var value = value
        while let innermost = open.indices.last {
            open[innermost].elements.append(value)
            open[innermost].remaining -= 1
            guard open[innermost].remaining == 0 else { return nil }
            value = Self.close(open.removeLast())
        }
        byteCount = 0
        return value
    }

    private static func close(_ aggregate: Aggregate) -> Reply {
        switch aggregate.kind {
        case .array, .set: .array(aggregate.elements)
        case .map: .map(aggregate.elements)
        }
    }
}
