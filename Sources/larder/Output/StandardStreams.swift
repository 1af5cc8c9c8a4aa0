#if canImport(Glibc)
    internal import Glibc
#endif

/// The process's own output streams, written whole.
enum StandardStreams {
    /// Writes a line to standard output.
    static func output(_ line: String) throws(CommandFailure) {
        try write(Array((line + "\n").utf8), to: STDOUT_FILENO)
    }

    /// Writes bytes as they are to standard output.
    static func output(bytes: [UInt8]) throws(CommandFailure) {
        try write(bytes, to: STDOUT_FILENO)
    }

    /// Writes a line to standard error; a closed standard error is nobody's loss.
    static func error(_ line: String) {
        try? write(Array((line + "\n").utf8), to: STDERR_FILENO)
    }

    /// Writes text without a line feed to standard error.
    static func errorText(_ text: String) {
        try? write(Array(text.utf8), to: STDERR_FILENO)
    }

    static var outputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }
    static var inputIsTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) throws(CommandFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            // SAFETY: write reads at most `count` bytes of the buffer that the array lends during the call.
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw CommandFailure(.inputOutput, "cannot write the output: \(SystemMessage.text(errno))")
            }
            rest = rest.dropFirst(count)
        }
    }
}
