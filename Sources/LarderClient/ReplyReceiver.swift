package import RESP

/// Where the events of one call's reply go.
///
/// Written by the connection's thread until the call is completed, read by the caller after that.
package protocol ReplyReceiver: AnyObject, Sendable {
    /// Whether large payloads are expected, which shall not pass through the connection's buffer.
    var expectsPayloads: Bool { get }

    /// Takes the next event; `bytes` are those it was found in.
    func take(_ event: ReplyEvent, of bytes: RawSpan) throws(ReplyProtocolError)

    /// Where the rest of the payload in progress may be received directly; empty when it goes through `take`.
    var directDestination: UnsafeMutableRawBufferPointer { get }

    /// `count` bytes were received to the direct destination.
    func receivedDirectly(_ count: Int)

    /// Who reads on when the caller has gone; nothing of the caller's is touched from then on.
    func abandoned() -> any ReplyReceiver
}

extension ReplyReceiver {
    package func abandoned() -> any ReplyReceiver { DiscardingReceiver() }
}

/// Reads over a reply that nobody waits for any more.
final class DiscardingReceiver: ReplyReceiver {
    var expectsPayloads: Bool { false }
    var directDestination: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    func take(_ event: ReplyEvent, of bytes: RawSpan) {}
    func receivedDirectly(_ count: Int) {}
}

/// Keeps a small reply whole.
final class TreeReceiver: ReplyReceiver, @unchecked Sendable {
    // SAFETY of @unchecked Sendable: the completion of the call passes it from one thread to the other.
    private var builder = ReplyBuilder()
    private(set) var reply: Reply?
    /// A reply that is too large to be kept is read over: the connection is others' too.
    private var isTooLarge = false

    var expectsPayloads: Bool { false }
    var directDestination: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    func take(_ event: ReplyEvent, of bytes: RawSpan) throws(ReplyProtocolError) {
        guard !isTooLarge else { return }
        do throws(ReplyProtocolError) {
            if let whole = try builder.add(event, of: bytes) { reply = whole }
        } catch {
            isTooLarge = true
            builder = ReplyBuilder()
        }
    }

    func receivedDirectly(_ count: Int) {}
}
