internal import CEngineKernels

/// The instruction set the inner loops run with. The choice changes the speed and never a bit of a result.
package enum KernelVariant: String, Sendable, CaseIterable {
    /// Whatever the compiler makes of plain C; slow where the machine has no fused multiply-add.
    case portable
    /// x86-64 with AVX2 and FMA.
    case avx2

    /// The fastest that this machine runs.
    package static let best: KernelVariant = KernelVariant.avx2.isSupported ? .avx2 : .portable

    /// Whether this machine runs it.
    package var isSupported: Bool { larder_kernel_is_supported(code) != 0 }

    private var code: larder_kernel_variant {
        switch self {
        case .portable: LARDER_KERNEL_PORTABLE
        case .avx2: LARDER_KERNEL_AVX2
        }
    }

    /// Columns of one packed panel, and tokens of one page of keys and values.
    static let panelWidth = Int(LARDER_PANEL_WIDTH)
}

// SAFETY of all calls below: each kernel touches exactly the elements its header comment names; the callers
// (FloatMatrix, PackedMatrix, Attention) check their own sizes before they hand out pointers.
extension KernelVariant {
    /// destination[r][n] (+)= sum of rows[r][i] * panels[n / 16][i][n % 16]; strides in elements.
    func multiply(
        rows: UnsafePointer<Float>,
        rowStride: Int,
        rowCount: Int,
        depth: Int,
        panels: UnsafePointer<Float>,
        panelStride: Int,
        panelCount: Int,
        into destination: UnsafeMutablePointer<Float>,
        destinationStride: Int,
        accumulates: Bool
    ) {
        unsafe larder_multiply(
            code, rows, rowStride, rowCount, depth, panels, panelStride, panelCount, destination, destinationStride,
            accumulates ? 1 : 0
        )
    }

    /// Replaces scores by exp(score - greatest); returns their sum.
    func exponentiate(_ scores: UnsafeMutablePointer<Float>, count: Int) -> Float {
        unsafe larder_exponentiate(code, scores, count)
    }

    /// destination = source / root mean square * weights.
    func normalize(
        _ source: UnsafePointer<Float>,
        weights: UnsafePointer<Float>,
        count: Int,
        epsilon: Float,
        into destination: UnsafeMutablePointer<Float>
    ) {
        unsafe larder_normalize(code, source, weights, count, epsilon, destination)
    }

    /// gate = SiLU(gate) * up.
    func gate(_ gate: UnsafeMutablePointer<Float>, up: UnsafePointer<Float>, count: Int) {
        unsafe larder_gate(code, gate, up, count)
    }
}
