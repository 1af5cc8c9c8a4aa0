/// Requests of LMCache's lm:// protocol: headers of 186 bytes, and payloads where they lie.
///
/// Sendable by contract: the headers never change, and the workload keeps payloads for as long as its requests are sent.
struct LMBenchMessage: @unchecked Sendable {
    private let headers: [UInt8]
    private var pieces: [Piece] = []

    /// Bytes on the wire.
    private(set) var byteCount = 0

    /// What is sent next: so many bytes of the headers, or a payload.
    @safe private enum Piece {
        case header(Range<Int>)
        @unsafe case payload(UnsafeRawBufferPointer)
    }

    /// The verbs that are measured.
    enum Verb: Int32 {
        case put = 1
        case get = 2
        case exist = 3
    }

    /// One request; a put has a payload.
    @safe struct Request {
        let verb: Verb
        let key: [UInt8]
        @unsafe let payload: UnsafeRawBufferPointer?
    }

    private static let keyByteCount = 150

    /// Writes requests one after the other; keys beyond 150 bytes are cut.
    init(_ requests: [Request]) {
        var headers: [UInt8] = []
        for request in requests {
            let start = headers.count
            let payload = unsafe request.payload
            let byteCount = unsafe payload?.count ?? 0
            // Verb, length, format KV_2LTD, element type bfloat16, location none, four sizes.
            let words: [Int32] = [
                request.verb.rawValue, Int32(clamping: byteCount), 1, 3, 0, 1, 1, 1,
                Int32(clamping: byteCount / 2),
            ]
            for word in words {
                unsafe withUnsafeBytes(of: word.littleEndian) { unsafe headers.append(contentsOf: $0) }
            }
            let key = request.key.prefix(Self.keyByteCount)
            headers += key
            headers += Array(repeating: UInt8(ascii: " "), count: Self.keyByteCount - key.count)
            pieces.append(.header(start..<headers.count))
            if let payload = unsafe payload { unsafe pieces.append(.payload(payload)) }
            self.byteCount += headers.count - start + byteCount
        }
        self.headers = headers
    }

    /// Lends the bytes from `offset` on, at most `countMax` pieces; returns how many of them `body` sent.
    func sendNext(
        from offset: Int,
        _ countMax: Int,
        _ body: (_ pieces: [UnsafeRawBufferPointer]) -> Int
    ) -> Int {
        unsafe headers.withUnsafeBytes { headers in
            var lent = unsafe [UnsafeRawBufferPointer]()
            var skipped = offset
            for piece in pieces where unsafe lent.count < countMax {
                let bytes =
                    switch piece {
                    case .header(let range): unsafe UnsafeRawBufferPointer(rebasing: headers[range])
                    case .payload(let payload): unsafe payload
                    }
                if skipped < bytes.count {
                    unsafe lent.append(UnsafeRawBufferPointer(rebasing: bytes[skipped...]))
                }
                skipped = max(0, skipped - bytes.count)
            }
            return unsafe body(lent)
        }
    }
}
