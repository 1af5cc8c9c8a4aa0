internal import Dispatch
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#endif

/// SIGTERM and SIGINT: the first asks for an orderly end, the second ends the process at once with status 1.
///
/// SIGHUP and SIGPIPE are ignored: a lost terminal or a lost reader of the log is no reason to lose a cache.
final class TerminationSignals {
    private let sources: [any DispatchSourceSignal]
    /// Yields once, for the first signal.
    let first: AsyncStream<String>

    /// Takes over the signals of the process.
    init() {
        signal(SIGHUP, SIG_IGN)
        signal(SIGPIPE, SIG_IGN)
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        let counter = SignalCounter()
        first = stream
        sources = [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")].map { number, name in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                guard counter.increment() == 1 else {
                    StandardStreams.error("larder: \(name) again: ending at once")
                    _exit(1)
                }
                continuation.yield(name)
                continuation.finish()
            }
            source.resume()
            return source
        }
    }
}

/// Counts signals from any thread.
private final class SignalCounter: Sendable {
    private let count = Atomic<Int>(0)

    /// Adds one and returns the new count.
    func increment() -> Int { count.add(1, ordering: .relaxed).newValue }
}
