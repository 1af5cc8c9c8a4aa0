/// One peer of a PUB or a ROUTER socket, from its greeting to its last frame; no socket inside.
///
/// The owner sends `ZMTPFrame.greeting` first, gives what it receives to `receive`, and then asks for events until there
/// are none. Versions 3.0 and 3.1 are spoken: subscriptions come as messages from the one and as commands from the other.
package struct ZMTPSession: Sendable {
    /// Which socket the peer has reached.
    package enum Role: String, Sendable {
        case publisher = "PUB"
        case router = "ROUTER"

        /// The sockets that may connect to it.
        var peers: [String] {
            switch self {
            case .publisher: ["SUB", "XSUB"]
            case .router: ["REQ", "DEALER", "ROUTER"]
            }
        }
    }

    /// What the owner is to do.
    package enum Event: Hashable, Sendable {
        /// Send these bytes.
        case send([UInt8])
        /// The handshake is over: messages may be sent.
        case ready
        /// The peer wants messages whose topic begins so.
        case subscribe([UInt8])
        /// It does not want them any more.
        case cancel([UInt8])
        /// A message of the peer's; only at a router.
        case message([[UInt8]])
    }

    private enum Stage { case greeting, handshake, ready }

    private let role: Role
    private let limits: ZMTPLimits
    private var stage = Stage.greeting
    private var input: [UInt8] = []
    private var head = 0
    private var parts: [[UInt8]] = []

    /// A peer that has connected.
    package init(role: Role, limits: ZMTPLimits = ZMTPLimits()) {
        self.role = role
        self.limits = limits
    }

    /// Whether the handshake is over.
    package var isReady: Bool { stage == .ready }

    /// Takes received bytes.
    package mutating func receive(_ bytes: some Sequence<UInt8>) {
        if head > 0 {
            input.removeFirst(head)
            head = 0
        }
        input.append(contentsOf: bytes)
    }

    /// The next event; `nil` until more is received. The peer is to be cut when this throws.
    package mutating func next() throws(ZMTPError) -> Event? {
        if stage == .greeting {
            guard try readGreeting() else { return nil }
            stage = .handshake
            var properties = ZMTPFrame.property("Socket-Type", Array(role.rawValue.utf8))
            if role == .router { properties += ZMTPFrame.property("Identity", []) }
            return .send(ZMTPFrame.command("READY", properties))
        }
        while let frame = try readFrame() {
            if frame.isCommand {
                if let event = try obey(frame.body) { return event }
            } else if let event = try gather(frame) {
                return event
            }
        }
        return nil
    }

    // MARK: Greeting

    private func readable(_ offset: Int) -> UInt8? {
        head + offset < input.count ? input[head + offset] : nil
    }

    /// Whether the greeting is whole; refused at the first byte that says that it cannot be one.
    private mutating func readGreeting() throws(ZMTPError) -> Bool {
        if let first = readable(0), first != 0xFF { throw ZMTPError("not a ZMTP signature") }
        if let last = readable(9), last & 1 == 0 { throw ZMTPError("not a ZMTP signature") }
        if let version = readable(10), version < 3 { throw ZMTPError("ZMTP \(version) is too old") }
        guard input.count - head >= ZMTPFrame.greetingByteCount else { return false }
        guard Array(input[(head + 12)..<(head + 32)]) == ZMTPFrame.mechanism else {
            throw ZMTPError("the mechanism must be NULL")
        }
        head += ZMTPFrame.greetingByteCount
        return true
    }

    // MARK: Frames

    private struct Frame {
        let isCommand: Bool
        let isMore: Bool
        let body: [UInt8]
    }

    private mutating func readFrame() throws(ZMTPError) -> Frame? {
        guard let flags = readable(0) else { return nil }
        guard flags & ~(ZMTPFrame.moreBit | ZMTPFrame.longBit | ZMTPFrame.commandBit) == 0 else {
            throw ZMTPError("reserved flags are set")
        }
        let isCommand = flags & ZMTPFrame.commandBit != 0
        let isMore = flags & ZMTPFrame.moreBit != 0
        guard !isCommand || !isMore else { throw ZMTPError("a command is one frame") }
        let headerByteCount = flags & ZMTPFrame.longBit == 0 ? 2 : 9
        guard input.count - head >= headerByteCount else { return nil }
        let length = input[(head + 1)..<(head + headerByteCount)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(limits.frameByteCountMax) else {
            throw ZMTPError("a frame of \(length) bytes; \(limits.frameByteCountMax) are taken")
        }
        let end = head + headerByteCount + Int(length)
        guard input.count >= end else { return nil }
        defer { head = end }
        return Frame(isCommand: isCommand, isMore: isMore, body: Array(input[(head + headerByteCount)..<end]))
    }

    /// Collects the frames of a message; gives what the whole message means.
    private mutating func gather(_ frame: Frame) throws(ZMTPError) -> Event? {
        guard stage == .ready else { throw ZMTPError("a message before READY") }
        guard parts.count < limits.frameCountMax else { throw ZMTPError("a message of too many frames") }
        parts.append(frame.body)
        guard !frame.isMore else { return nil }
        defer { parts = [] }
        guard role == .publisher else { return .message(parts) }
        // Before version 3.1 subscriptions are messages; a PUB socket drops all others.
        guard parts.count == 1, let first = frame.body.first else { return nil }
        switch first {
        case 0: return .cancel(Array(frame.body.dropFirst()))
        case 1: return .subscribe(Array(frame.body.dropFirst()))
        default: return nil
        }
    }

    // MARK: Commands

    private mutating func obey(_ body: [UInt8]) throws(ZMTPError) -> Event? {
        guard let nameByteCount = body.first, body.count > Int(nameByteCount), nameByteCount > 0 else {
            throw ZMTPError("a command without a name")
        }
        let name = String(decoding: body[1...Int(nameByteCount)], as: UTF8.self)
        let data = body[(1 + Int(nameByteCount))...]
        guard stage == .ready else {
            guard name == "READY" else { throw ZMTPError("\(name) before READY") }
            try checkSocketType(data)
            stage = .ready
            return .ready
        }
        switch name {
        case "SUBSCRIBE" where role == .publisher: return .subscribe(Array(data))
        case "CANCEL" where role == .publisher: return .cancel(Array(data))
        case "PING":
            // Two bytes of time to live, then up to 16 that come back.
            guard data.count >= 2, data.count <= 18 else { throw ZMTPError("a PING of \(data.count) bytes") }
            return .send(ZMTPFrame.command("PONG", data.dropFirst(2)))
        case "ERROR": throw ZMTPError("the peer gave up")
        default: return nil
        }
    }

    private func checkSocketType(_ metadata: ArraySlice<UInt8>) throws(ZMTPError) {
        var rest = metadata
        var type: String?
        while let nameByteCount = rest.first {
            guard nameByteCount > 0, rest.count >= 5 + Int(nameByteCount) else {
                throw ZMTPError("READY is cut short")
            }
            let name = rest.dropFirst().prefix(Int(nameByteCount))
            rest = rest.dropFirst(1 + Int(nameByteCount))
            let valueByteCount = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= valueByteCount else { throw ZMTPError("READY is cut short") }
            // Names of properties are the same in either case.
            if String(decoding: name, as: UTF8.self).lowercased() == "socket-type" {
                type = String(decoding: rest.prefix(valueByteCount), as: UTF8.self)
            }
            rest = rest.dropFirst(valueByteCount)
        }
        guard let type, role.peers.contains(type) else {
            throw ZMTPError("a \(role.rawValue) socket takes \(role.peers.joined(separator: ", "))")
        }
    }
}
