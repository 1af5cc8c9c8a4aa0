import RESP
import Testing

@Suite("Request encoder")
struct RequestEncoderTests {
    @Test(
        "requests are arrays of bulk strings, payloads from where they lie",
        arguments: [1, 2, 3, 7, 64, 1_000]
    )
    func pieces(step: Int) {
        let payload = Array("the payload".utf8)
        unsafe payload.withUnsafeBytes { payload in
            var encoder = RequestEncoder()
            encoder.begin(argumentCount: 4)
            encoder.append("SET")
            encoder.append([0, 13, 10])
            unsafe encoder.append(payload: payload)
            encoder.append(-120)
            encoder.begin(argumentCount: 2)
            unsafe encoder.append(payload: payload)
            unsafe encoder.append(payload: UnsafeRawBufferPointer(rebasing: payload[..<0]))
            let request = encoder.finish()
            let expected = Array(
                "*4\r\n$3\r\nSET\r\n$3\r\n\0\r\n\r\n$11\r\nthe payload\r\n$4\r\n-120\r\n*2\r\n$11\r\nthe payload\r\n$0\r\n\r\n"
                    .utf8
            )
            #expect(request.byteCount == expected.count)
            #expect(send(request, bytesPerTurn: step, piecesPerTurn: 64) == expected)
            #expect(send(request, bytesPerTurn: step, piecesPerTurn: 1) == expected)
        }
    }

    @Test("a payload is lent, not copied")
    func lent() {
        let payload = [UInt8](repeating: 7, count: 100_000)
        unsafe payload.withUnsafeBytes { payload in
            var encoder = RequestEncoder()
            encoder.begin(argumentCount: 1)
            unsafe encoder.append(payload: payload)
            var progress = EncodedRequest.Progress()
            unsafe encoder.finish().sendNext(&progress, countMax: 8) { pieces in
                #expect(unsafe pieces.contains { unsafe $0.baseAddress == payload.baseAddress })
                return 0
            }
            #expect(progress == EncodedRequest.Progress())
        }
    }

    private func send(_ request: EncodedRequest, bytesPerTurn: Int, piecesPerTurn: Int) -> [UInt8] {
        var progress = EncodedRequest.Progress()
        var sent: [UInt8] = []
        while progress.byteCount < request.byteCount {
            unsafe request.sendNext(&progress, countMax: piecesPerTurn) { pieces in
                let bytes = unsafe pieces.flatMap { unsafe Array($0) }.prefix(bytesPerTurn)
                sent += bytes
                return bytes.count
            }
        }
        return sent
    }
}
