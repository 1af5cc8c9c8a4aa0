import Glibc

/// An errno with the system's words for it.
struct SystemError: CustomStringConvertible {
    let number: Int32

    /// Takes an error number; the calling thread's latest by default.
    init(_ number: Int32 = errno) { self.number = number }

    var description: String {
        guard let text = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: text)
    }
}
