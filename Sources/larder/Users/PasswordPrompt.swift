#if canImport(Glibc)
    internal import Glibc
#endif

/// Asks for a password on the terminal, twice and without showing it.
enum PasswordPrompt {
    /// The password; from a pipe, the first line of standard input.
    static func ask() throws(CommandFailure) -> [UInt8] {
        guard StandardStreams.inputIsTerminal else { return try PasswordFile.password(at: "-") }
        let first = try line("Password: ")
        guard try line("Once more: ") == first else {
            throw CommandFailure(.usage, "the two passwords differ; try again")
        }
        guard !first.isEmpty else { throw CommandFailure(.usage, "a password has at least one character") }
        return first
    }

    private static func line(_ prompt: String) throws(CommandFailure) -> [UInt8] {
        StandardStreams.errorText(prompt)
        var settings = termios()
        // SAFETY: both calls read or write one termios that lives during the call.
        guard unsafe tcgetattr(STDIN_FILENO, &settings) == 0 else {
            throw CommandFailure(.inputOutput, "cannot read a password here; give --password-file")
        }
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
            StandardStreams.errorText("\n")
        }
        guard let line = readLine(strippingNewline: true) else {
            throw CommandFailure(.inputOutput, "no password was given")
        }
        return Array(line.utf8)
    }
}
