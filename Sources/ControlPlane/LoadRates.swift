internal import Synchronization
package import Tiering

/// How fast blocks come from each tier: what is assumed, until loads have shown it.
package final class LoadRates: Sendable {
    private struct State {
        var memoryBytesPerSecond = Double(2 << 30)
        var diskBytesPerSecond = Double(512 << 20)
    }

    /// Loads of fewer bytes say more about waiting than about bandwidth.
    private static let byteCountMin = 256 << 10
    /// The share of the newest load in the moving average.
    private static let newShare = 0.2

    private let state = Mutex(State())

    /// Assumes 2 GiB/s from memory and 512 MiB/s from disk.
    package init() {}

    /// What loading takes, without waiting.
    package func milliseconds(of byteCount: Int, in tier: Tier) -> Double {
        Double(byteCount) / rate(tier) * 1_000
    }

    /// Learns from a load. Memory is not loaded but lent, so only the disk's rate is measured.
    package func measured(_ byteCount: Int, in tier: Tier, taking time: Duration) {
        guard tier == .disk, byteCount >= Self.byteCountMin, time > .zero else { return }
        let rate = Double(byteCount) / (time / .seconds(1))
        state.withLock { state in
            state.diskBytesPerSecond += (rate - state.diskBytesPerSecond) * Self.newShare
        }
    }

    private func rate(_ tier: Tier) -> Double {
        state.withLock { tier == .memory ? $0.memoryBytesPerSecond : $0.diskBytesPerSecond }
    }
}
