import Blocks
import TestSupport
import Testing

@Suite("Checksum in pieces")
struct PayloadChecksumStreamTests {
    @Test("pieces of any size give the checksum of the whole", arguments: [1, 7, 240, 1024, 65_537])
    func pieces(pieceByteCount: Int) {
        var random = SeededRandom(seed: 3)
        let bytes = random.bytes(100_000)
        var stream = PayloadChecksumStream()
        var offset = 0
        while offset < bytes.count {
            let end = min(offset + pieceByteCount, bytes.count)
            unsafe bytes[offset..<end].withUnsafeBytes { unsafe stream.update($0) }
            offset = end
        }
        let whole = unsafe bytes.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
        let streamed = stream.value()
        #expect(streamed == whole)
    }
}
