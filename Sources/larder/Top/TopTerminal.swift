internal import Dispatch

#if canImport(Glibc)
    internal import Glibc
#endif

/// The terminal while `larder top` draws on it: keys come one by one and are not shown. Everything is as before when this
/// is given back.
final class TopTerminal {
    /// Ends when somebody types `q`, or the terminal is gone.
    let quit: AsyncStream<Void>
    private let source: (any DispatchSourceRead)?
    private let continuation: AsyncStream<Void>.Continuation
    private let before: termios?

    init() {
        (quit, continuation) = AsyncStream.makeStream(of: Void.self)
        var settings = termios()
        // SAFETY: tcgetattr fills the variable that it is given.
        guard StandardStreams.inputIsTerminal, unsafe tcgetattr(STDIN_FILENO, &settings) == 0 else {
            before = nil
            source = nil
            return
        }
        before = settings
        settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
        // SAFETY: tcsetattr reads the variable.
        unsafe _ = tcsetattr(STDIN_FILENO, TCSANOW, &settings)
        let source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: .global())
        let continuation = continuation
        source.setEventHandler {
            guard let keys = Self.keys(), !keys.contains(where: Self.quitKeys.contains) else {
                return continuation.finish()
            }
        }
        source.resume()
        self.source = source
    }

    deinit { giveBack() }

    /// Puts the terminal back as it was.
    func giveBack() {
        source?.cancel()
        continuation.finish()
        guard var before else { return }
        // SAFETY: tcsetattr reads the variable.
        unsafe _ = tcsetattr(STDIN_FILENO, TCSANOW, &before)
    }

    /// `q`, `Q`, Ctrl-C and Ctrl-D, where they come as keys.
    private static let quitKeys: Set<UInt8> = [UInt8(ascii: "q"), UInt8(ascii: "Q"), 3, 4]

    /// What has been typed; `nil` at the end of the input.
    private static func keys() -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 64)
        // SAFETY: read writes at most as many bytes as the array has.
        let count = unsafe read(STDIN_FILENO, &bytes, bytes.count)
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }

    /// The size of the terminal on standard output now.
    static var screen: TopScreen {
        var size = winsize()
        // SAFETY: the call fills the variable.
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0
        else { return .usual }
        return TopScreen(rowCount: Int(size.ws_row), columnCount: Int(size.ws_col))
    }
}
