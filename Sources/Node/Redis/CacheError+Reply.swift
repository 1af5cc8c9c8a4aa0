internal import Blocks

extension CacheError {
    /// The error as the text of a reply: a code that clients of Redis know, and the message.
    var replyText: String {
        switch code {
        case .memoryExhausted: "OOM \(message)"
        case .overloaded: "TRYAGAIN \(message)"
        case .unauthorized: "NOPERM \(message)"
        default: "ERR \(message)"
        }
    }

    /// Whether the same put may succeed a moment later.
    var isWorthWaiting: Bool {
        code == .overloaded || code == .memoryExhausted
    }
}
