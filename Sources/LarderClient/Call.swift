internal import RESP

/// One request on its way to its reply.
///
/// Made by a caller, then owned by one connection's thread.
final class Call: @unchecked Sendable {
    // SAFETY of @unchecked Sendable: handed over once, through a mutex, to the thread of one connection.
    let request: EncodedRequest
    let timeout: UInt64
    let deadline: UInt64
    private(set) var receiver: any ReplyReceiver
    /// Whether the connection itself asks, to say who it is and what it talks about.
    let isGreeting: Bool
    private var completion: (@Sendable (Result<Void, LarderClientError>) -> Void)?

    /// How much of the request is sent.
    var progress = EncodedRequest.Progress()
    /// When the connection had nothing older to answer; nanoseconds.
    var headSince: UInt64 = 0

    /// A call that may take `timeout` nanoseconds from `now` on.
    ///
    /// `completion` runs once, on the connection's thread; by then the thread touches neither the receiver
    /// nor the payloads any more.
    init(
        _ request: EncodedRequest,
        receiver: any ReplyReceiver,
        now: UInt64,
        timeout: UInt64,
        isGreeting: Bool = false,
        completion: @escaping @Sendable (Result<Void, LarderClientError>) -> Void
    ) {
        self.request = request
        self.receiver = receiver
        self.timeout = timeout
        self.isGreeting = isGreeting
        deadline = now &+ timeout
        self.completion = completion
    }

    /// Whether the caller has gone; what still comes is read over.
    var isAbandoned: Bool { completion == nil }

    /// Whether bytes of the request are sent and others are not.
    var isPartlySent: Bool { progress.byteCount > 0 && progress.byteCount < request.byteCount }

    /// Lets go of the caller's memory, then tells the caller.
    func complete(_ result: Result<Void, LarderClientError>) {
        guard let completion else { return }
        self.completion = nil
        receiver = receiver.abandoned()
        completion(result)
    }
}
