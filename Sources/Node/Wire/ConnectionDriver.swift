internal import MemoryTier
internal import NIOCore

/// One protocol's side of a connection: bytes in, decisions out. Confined to the connection's event loop.
protocol ConnectionDriver: AnyObject {
    /// Where the next bytes of a payload belong, when one is being received and has a place; empty otherwise.
    var sink: UnsafeMutableRawBufferPointer { get }
    /// Whether more input would be used now; false while a command waits or replies are not taken.
    var wantsInput: Bool { get }
    /// What the deadlines of the connection are judged by.
    var progress: ConnectionProgress { get }

    /// The connection is there; `transport` outlives the driver's work.
    func began(_ transport: any ConnectionTransport)
    /// Bytes in an ordinary buffer.
    func received(_ buffer: ByteBuffer)
    /// `byteCount` bytes that were read straight to the front of `sink`.
    func receivedInPlace(_ byteCount: Int)
    /// All that a read brought has been delivered, or output has drained: go on.
    func proceed()
    /// No command is to be begun after the one under way; the connection is closed when it is answered.
    func drain()
    /// The connection is gone: give back what it holds.
    func ended()
}

/// What a driver can do with its connection. Confined to the connection's event loop.
protocol ConnectionTransport: AnyObject {
    /// The connection's event loop.
    var eventLoop: any EventLoop { get }
    /// Whether replies are being taken: false above the high mark of bytes that wait to be sent.
    var isWritable: Bool { get }
    /// Queues bytes.
    func send(_ bytes: ByteBuffer)
    /// Queues part of a payload without a copy; the lease lives until the bytes are sent or the connection is gone.
    func send(_ lease: BlockLease, _ range: Range<Int>)
    /// Whether the client is on the same host, on a Unix socket.
    var isUnixSocket: Bool { get }
    /// Sends bytes with a descriptor attached to the first of them, once all that is queued has been sent; the caller
    /// queues nothing before `completion`, which tells whether they are gone.
    func send(_ bytes: ByteBuffer, passing descriptor: CInt, _ completion: @escaping (Bool) -> Void)
    /// Sends what is queued.
    func flush()
    /// Asks for input if the driver wants it.
    func resumeReading()
    /// Closes after what is queued has been sent.
    func close()
    /// Takes back an input buffer that has been used up.
    func recycle(_ buffer: ByteBuffer)
}

/// Where a connection stands, for its deadlines.
struct ConnectionProgress: Hashable {
    /// Whether the client still has to authenticate.
    var isHandshaking = false
    /// Whether part of a request has come and the rest is awaited from the client.
    var isReceiving = false
    /// Whether a command is being worked on.
    var isWorking = false
    /// Bytes of the payload that is being received into memory that others could use; 0 for none.
    var payloadByteCount = 0
    /// Requests received whole so far: a new number starts a new measure of the rate.
    var requestCount: UInt64 = 0
    /// Bytes received so far.
    var receivedByteCount: UInt64 = 0
}
