/// How the rotary embedding's frequencies are changed so that a model reads further than it was trained for.
package enum RotaryScaling: Hashable, Sendable {
    /// As trained.
    case none
    /// All frequencies divided by a factor.
    case linear(factor: Double)
    /// Llama 3: long wavelengths divided by a factor, short ones kept, those between blended.
    case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, trainedTokenCount: Double)

    /// Throws `.invalidConfiguration` for factors that give no finite frequency.
    func validate() throws(EngineError) {
        let isValid =
            switch self {
            case .none: true
            case .linear(let factor): factor.isFinite && factor > 0
            case .llama3(let factor, let low, let high, let trained):
                [factor, low, high, trained].allSatisfy { $0.isFinite && $0 > 0 } && high > low
            }
        guard isValid else {
            throw EngineError(.invalidConfiguration, "rotary scaling \(self) gives no frequencies")
        }
    }

    /// The frequency in use for a trained `frequency`, radians per token.
    func apply(to frequency: Double) -> Double {
        switch self {
        case .none: return frequency
        case .linear(let factor): return frequency / factor
        case .llama3(let factor, let low, let high, let trained):
            let wavelength = 2 * Double.pi / frequency
            if wavelength < trained / high { return frequency }
            if wavelength > trained / low { return frequency / factor }
            let blend = (trained / wavelength - low) / (high - low)
            return (1 - blend) * frequency / factor + blend * frequency
        }
    }
}
