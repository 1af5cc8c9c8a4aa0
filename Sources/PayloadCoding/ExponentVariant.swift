internal import CKVCodec

/// The instruction set that the exponent code's loops use; it changes the speed, never a byte.
package enum ExponentVariant: String, Sendable, CaseIterable {
    /// Any machine: tables in place of bit deposit and extract.
    case portable
    /// AVX2 with the same tables, for processors whose bit deposit is slow.
    case avx2Tables = "avx2-tables"
    /// AVX2 and BMI2.
    case avx2
    /// AVX-512 with VBMI2, and BMI2.
    case avx512

    /// The fastest that this machine runs.
    package static let best: ExponentVariant = {
        let code = larder_kv_variant_best()
        return allCases.first { $0.code == code } ?? .portable
    }()

    /// Whether this machine runs it, whatever its speed.
    package var isSupported: Bool { larder_kv_variant_is_supported(code) != 0 }

    var code: larder_kv_variant {
        switch self {
        case .portable: LARDER_KV_PORTABLE
        case .avx2Tables: LARDER_KV_AVX2_TABLES
        case .avx2: LARDER_KV_AVX2
        case .avx512: LARDER_KV_AVX512
        }
    }
}
