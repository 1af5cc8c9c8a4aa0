internal import RESP

/// Takes the reply to a load: an array of a payload or nothing for each key, received into the sink's memory.
@safe final class PayloadReceiver: ReplyReceiver, @unchecked Sendable {
    // SAFETY of @unchecked Sendable: the completion of the call passes it from one thread to the other.
    private let sink: any PayloadSink
    private let keys: Range<Int>
    private var current: Int
    private var isOpen = false
    private var rest: UnsafeMutableRawBufferPointer?

    /// For each key, the bytes that arrived; `nil` where the payload is missing or has no place.
    private(set) var byteCounts: [Int?]
    /// The error that the node answered with instead.
    private(set) var failure: ReplyFailure?

    private var announced = 0

    /// A receiver of the payloads of the load's `keys`, which are numbered in the whole load.
    init(_ sink: any PayloadSink, keys: Range<Int>) {
        self.sink = sink
        self.keys = keys
        current = keys.lowerBound
        byteCounts = Array(repeating: nil, count: keys.count)
    }

    var expectsPayloads: Bool { true }

    var directDestination: UnsafeMutableRawBufferPointer {
        unsafe rest ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    func receivedDirectly(_ count: Int) {
        guard let memory = unsafe rest, count <= memory.count else { return }
        unsafe rest = UnsafeMutableRawBufferPointer(rebasing: memory[count...])
    }

    func take(_ event: ReplyEvent, of bytes: RawSpan) throws(ReplyProtocolError) {
        guard isOpen else { return try open(event) }
        switch event {
        case .bulkBegins(let byteCount):
            announced = byteCount
            unsafe rest = nil
            if let region = unsafe sink.region(forKeyAt: current, byteCount: byteCount),
                region.count == byteCount
            {
                unsafe rest = region
            }
        case .bulkPiece(let range):
            guard let memory = unsafe rest, range.count <= memory.count else { return }
            // SAFETY: both are at least as long as the piece, and they are apart: the sink's memory is the caller's.
            unsafe bytes.extracting(range).withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
            receivedDirectly(range.count)
        case .bulkEnds:
            if unsafe rest?.count == 0 { byteCounts[current - keys.lowerBound] = announced }
            endKey()
        case .null, .failure: endKey()
        case .status, .integer, .double, .boolean, .bigNumber, .aggregateBegins:
            throw ReplyProtocolError("a load was answered by something else than payloads")
        }
    }

    private func open(_ event: ReplyEvent) throws(ReplyProtocolError) {
        switch event {
        case .aggregateBegins(kind: .array, let count) where count == keys.count: isOpen = true
        case .failure(let failure): self.failure = failure
        case .null: return
        default: throw ReplyProtocolError("a load of \(keys.count) keys was answered by something else")
        }
    }

    private func endKey() {
        unsafe rest = nil
        current += 1
    }
}
