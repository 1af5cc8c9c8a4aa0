import Blocks
import Testing

@Suite("Payload checksum")
struct PayloadChecksumTests {
    @Test(
        "it is XXH3 of 64 bits without a seed, as the xxhash package computes it",
        arguments: [
            (0, 0x2d06_8005_38d3_94c2),
            (1, 0xc44b_dff4_074e_ecdb),
            (16, 0x8355_e3a6_f617_70db),
            (17, 0x9ef3_41a9_9de3_7328),
            (128, 0x85c6_174c_7ff4_c46b),
            (129, 0xec76_42b4_31ba_3e5a),
            (240, 0x375a_384d_957f_e865),
            (241, 0x02e8_cd95_421c_6d02),
            (1_024, 0xa870_f929_8439_8d22),
            (100_000, 0x39cf_9d03_5d60_ad58),
        ] as [(Int, UInt64)]
    )
    func vectors(byteCount: Int, expected: UInt64) {
        #expect(checksum((0..<byteCount).map { UInt8(truncatingIfNeeded: $0) }) == expected)
    }

    private func checksum(_ bytes: [UInt8]) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
    }
}
