internal import RESP

/// The bytes of one operation: requests in RESP, or in LMCache's protocol.
enum BenchMessage: Sendable {
    case resp(EncodedRequest)
    case lm(LMBenchMessage)

    /// How far a message is sent.
    struct Progress {
        fileprivate var resp = EncodedRequest.Progress()
        fileprivate var lm = 0

        /// Bytes sent.
        var byteCount: Int { resp.byteCount + lm }
    }

    /// Bytes on the wire.
    var byteCount: Int {
        switch self {
        case .resp(let request): request.byteCount
        case .lm(let message): message.byteCount
        }
    }

    /// Lends the next bytes to send, at most `countMax` pieces; `body` returns how many of them it sent.
    func sendNext(
        _ progress: inout Progress,
        countMax: Int,
        _ body: (_ pieces: [UnsafeRawBufferPointer]) -> Int
    ) {
        switch self {
        case .resp(let request): unsafe request.sendNext(&progress.resp, countMax: countMax, body)
        case .lm(let message): progress.lm += unsafe message.sendNext(from: progress.lm, countMax, body)
        }
    }
}
