#if canImport(Glibc)
    internal import Glibc
#endif

/// The rotations that tell a head where its token stands: pair (i, i + half) turns by position times frequency i.
struct RotaryEmbedding: Sendable {
    /// Radians per token of each pair, `headSize / 2` of them.
    let frequencies: [Double]

    init(_ configuration: ModelConfiguration) {
        let headSize = configuration.headSize
        frequencies = (0..<headSize / 2)
            .map { pair in
                let trained = 1 / pow(configuration.rotaryBase, Double(2 * pair) / Double(headSize))
                return configuration.rotaryScaling.apply(to: trained)
            }
    }

    /// Cosines, then sines, of the pairs at `position`: `headSize` values.
    func rotation(at position: Int) -> [Float] {
        let angles = frequencies.map { Double(position) * $0 }
        return angles.map { Float(cos($0)) } + angles.map { Float(sin($0)) }
    }

    /// Turns one head in place. `rotation` comes from `rotation(at:)`.
    static func turn(_ head: UnsafeMutablePointer<Float>, by rotation: [Float]) {
        let half = rotation.count / 2
        unsafe rotation.withUnsafeBufferPointer { rotation in
            for pair in 0..<half {
                // SAFETY: the head has 2 * half elements, as has the rotation.
                let (cosine, sine) = unsafe (rotation[pair], rotation[pair + half])
                let (first, second) = unsafe (head[pair], head[pair + half])
                unsafe head[pair] = first * cosine - second * sine
                unsafe head[pair + half] = second * cosine + first * sine
            }
        }
    }
}
