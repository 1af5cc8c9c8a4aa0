internal import NIOCore

/// Bounds what is received from a connection whose sender is not known: when its allowance is used up nothing more is
/// read, until the sender is known or one of its calls has ended. Confined to the connection's event loop.
final class StrangerHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let byteCountMax: Int
    private let paused: () -> Void
    /// Bytes that may still come; `nil` is without bound.
    private var allowance: Int?
    private var wantsRead = false
    private var context: ChannelHandlerContext?

    /// - Parameters:
    ///   - byteCountMax: bytes that may come before the sender is known.
    ///   - paused: called when reading stops.
    init(byteCountMax: Int, paused: @escaping () -> Void) {
        self.byteCountMax = byteCountMax
        self.paused = paused
        allowance = byteCountMax
    }

    /// The sender is known: it is read from without bound.
    func admit() {
        allowance = nil
        resume()
    }

    /// A call of the stranger's has ended.
    func refill() {
        guard allowance != nil else { return }
        allowance = byteCountMax
        resume()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if let allowance {
            self.allowance = max(0, allowance - unwrapInboundIn(data).readableBytes)
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        guard allowance == 0 else { return context.read() }
        if !wantsRead { paused() }
        wantsRead = true
    }

    private func resume() {
        guard wantsRead else { return }
        wantsRead = false
        context?.read()
    }
}
