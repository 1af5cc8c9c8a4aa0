internal import RESP

/// Takes a reply by which the node hands something out: blocks to read or places to write. What comes when its caller has
/// gone is given back.
final class GrantReceiver: ReplyReceiver, @unchecked Sendable {
    // SAFETY of @unchecked Sendable: the completion of the call passes it from one thread to the other.
    private var builder = ReplyBuilder()
    private(set) var reply: Reply?
    private var isAbandoned = false
    private let giveBack: @Sendable (Reply) -> Void

    init(giveBack: @escaping @Sendable (Reply) -> Void) {
        self.giveBack = giveBack
    }

    var expectsPayloads: Bool { false }
    var directDestination: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    func take(_ event: ReplyEvent, of bytes: RawSpan) throws(ReplyProtocolError) {
        guard let whole = try builder.add(event, of: bytes) else { return }
        if isAbandoned { giveBack(whole) } else { reply = whole }
    }

    func receivedDirectly(_ count: Int) {}

    func abandoned() -> any ReplyReceiver {
        isAbandoned = true
        return self
    }
}
