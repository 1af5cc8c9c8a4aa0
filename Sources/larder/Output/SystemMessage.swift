#if canImport(Glibc)
    internal import Glibc
#endif

/// The operating system's words for its error numbers.
enum SystemMessage {
    /// The text of an `errno` value.
    static func text(_ number: Int32) -> String {
        // SAFETY: strerror always returns a terminated text, and the copy is made at once.
        guard let text = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: text)
    }
}
