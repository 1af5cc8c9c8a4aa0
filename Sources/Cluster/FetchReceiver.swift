internal import Blocks
internal import LarderClient
internal import RESP
internal import Synchronization
internal import Tiering

/// Takes the reply to `KV.FETCH`: for each key its head and its payload, or nothing twice. Payloads go from the socket
/// into the memory that the receiver gives.
@safe final class FetchReceiver: ReplyReceiver, @unchecked Sendable {
    // SAFETY of @unchecked Sendable: the completion of the call passes it from one thread to the other.
    private let receiver: any PeerReceiver
    /// Where the request's keys stand in the receiver's.
    private let indices: [Int]
    private var isOpen = false
    private var element = 0
    private var headBytes: [UInt8] = []
    private var head: (attributes: BlockAttributes, payloadChecksum: UInt64)?
    private var announced = 0
    private var rest: UnsafeMutableRawBufferPointer?

    /// Which of the keys have arrived, by their place in the request.
    private(set) var hasArrived: [Bool]

    init(_ receiver: any PeerReceiver, indices: [Int]) {
        self.receiver = receiver
        self.indices = indices
        hasArrived = Array(repeating: false, count: indices.count)
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
        guard element < 2 * indices.count else {
            throw ReplyProtocolError("more came than was fetched")
        }
        if element.isMultiple(of: 2) {
            try takeHead(event, of: bytes)
        } else {
            try takePayload(event, of: bytes)
        }
    }

    private func open(_ event: ReplyEvent) throws(ReplyProtocolError) {
        switch event {
        case .aggregateBegins(kind: .array, let count) where count == 2 * indices.count: isOpen = true
        case .failure, .null: return
        default: throw ReplyProtocolError("a fetch of \(indices.count) blocks was answered by something else")
        }
    }

    private func takeHead(_ event: ReplyEvent, of bytes: RawSpan) throws(ReplyProtocolError) {
        switch event {
        case .bulkBegins(let byteCount):
            guard byteCount == BlockHead.byteCount else {
                throw ReplyProtocolError("a block's head has another length")
            }
            headBytes.removeAll(keepingCapacity: true)
        case .bulkPiece(let range):
            // SAFETY: the bytes are copied before the call returns.
            unsafe bytes.extracting(range).withUnsafeBytes { unsafe headBytes.append(contentsOf: $0) }
        case .bulkEnds:
            head = BlockHead.decode(headBytes)
            element += 1
        case .null:
            head = nil
            element += 1
        default: throw ReplyProtocolError("a block's head is a bulk string")
        }
    }

    private func takePayload(_ event: ReplyEvent, of bytes: RawSpan) throws(ReplyProtocolError) {
        let place = element / 2
        switch event {
        case .bulkBegins(let byteCount):
            announced = byteCount
            unsafe rest = nil
            if head != nil, (1...Limits.payloadByteCountMax).contains(byteCount),
                let region = unsafe receiver.region(at: indices[place], byteCount: byteCount),
                region.count == byteCount
            {
                unsafe rest = region
            }
        case .bulkPiece(let range):
            guard let memory = unsafe rest, range.count <= memory.count else { return }
            // SAFETY: both are at least as long as the piece, and they are apart.
            unsafe bytes.extracting(range).withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
            receivedDirectly(range.count)
        case .bulkEnds:
            if let head, unsafe rest?.count == 0 {
                hasArrived[place] = true
                receiver.arrived(
                    indices[place],
                    BlockSummary(
                        payloadByteCount: announced,
                        payloadChecksum: head.payloadChecksum,
                        attributes: head.attributes
                    )
                )
            }
            unsafe rest = nil
            element += 1
        case .null, .failure:
            unsafe rest = nil
            element += 1
        default: throw ReplyProtocolError("a payload is a bulk string")
        }
    }
}
