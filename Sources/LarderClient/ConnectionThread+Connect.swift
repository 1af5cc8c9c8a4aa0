internal import RESP

#if canImport(Glibc)
    internal import Glibc
#endif

extension ConnectionThread {
    /// Finds the node's addresses.
    ///
    /// A name is looked up by a thread of its own: nothing bounds the system's resolver.
    func resolve() {
        switch settings.configuration.endpoint {
        case .unix(let path):
            connect(SocketAddress(unixPath: path).map { [$0] } ?? [])
        case .tcp(let host, let port):
            let numeric = SocketAddress.resolve(host: host, port: port, isNumericOnly: true)
            guard numeric.isEmpty else { return connect(numeric[...]) }
            phase = .resolving
            guard !isResolverBusy else { return }
            isResolverBusy = DetachedThread.start { [mailbox] in
                mailbox.post(addresses: SocketAddress.resolve(host: host, port: port, isNumericOnly: false))
            }
            if !isResolverBusy { connect([]) }
        }
    }

    /// How long one address is tried.
    private static let connectNanosecondsMax: UInt64 = 1_500_000_000

    /// Begins to connect to the first address that does not refuse at once.
    func connect(_ addresses: ArraySlice<SocketAddress>) {
        var later = addresses
        while let address = later.popFirst() {
            if let socket = StreamSocket(connectingTo: address) {
                phase = .connecting(socket, later: later, until: now &+ Self.connectNanosecondsMax)
                return
            }
        }
        lost(
            LarderClientError(.unreachable, "no node listens at \(settings.configuration.endpoint)"),
            .failed
        )
    }

    /// Connecting is over, well or badly.
    func connected(_ socket: StreamSocket, _ later: ArraySlice<SocketAddress>) {
        guard socket.connectError() == 0 else { return connect(later) }
        settings.counters.count { $0.connectCount += 1 }
        phase = .open(socket)
        greet()
    }

    /// Says who we are before the first call, without waiting for the answer.
    private func greet() {
        if let greeting = settings.configuration.greeting { return greetPeer(greeting) }
        var encoder = RequestEncoder()
        if let credentials = settings.configuration.credentials {
            encoder.begin(argumentCount: 5)
            for argument in ["HELLO", "3", "AUTH", credentials.user, credentials.password] {
                encoder.append(argument)
            }
        } else {
            encoder.begin(argumentCount: 2)
            encoder.append("HELLO")
            encoder.append("3")
        }
        let isKnown = settings.configuration.credentials != nil
        ask(encoder.finish()) { [self] reply in
            // Without credentials, a server that knows no HELLO goes on in RESP2.
            guard case .failure(let failure)? = reply, isKnown || failure.code.hasSuffix("AUTH") else {
                return
            }
            handshakeFailure = LarderClientError(.unauthorized, failure.text)
        }
        if case .unix = settings.configuration.endpoint, settings.configuration.usesSharedMemory {
            attach()
        }
    }

    /// Asks for the node's memory, to write or else to read; a node that does not share it is a node like any other.
    private func attach() {
        stream.awaitsDescriptor = true
        ask(NodeLink.request("KV.ATTACH", "ANY")) { [self] reply in
            stream.awaitsDescriptor = false
            guard let descriptor = stream.takeDescriptor() else { return }
            // [version, bytes, writable]
            guard let figures = reply?.elements, figures.count == 3, figures[0].integer == 1,
                let byteCount = figures[1].integer.flatMap({ Int(exactly: $0) })
            else {
                close(descriptor)
                return
            }
            let isWritable = figures[2].integer == 1
            attached(
                settings.arenas.map(descriptor, byteCount: byteCount, isWritable: isWritable).map(
                    Attachment.init
                )
            )
        }
    }

    /// Describes the namespaces that this connection has not described yet.
    func describeNamespaces() {
        let requests = settings.namespaces.requests(after: describedCount)
        describedCount += requests.count
        for request in requests { ask(request) { _ in } }
    }

    func ask(_ request: EncodedRequest, _ answered: @escaping @Sendable (Reply?) -> Void) {
        let receiver = TreeReceiver()
        let timeout = pipeline.firstTimeout ?? settings.configuration.lookupTimeout.nanoseconds
        let call = Call(request, receiver: receiver, now: now, timeout: timeout, isGreeting: true) { _ in
            answered(receiver.reply)
        }
        pipeline.addGreeting(call)
    }
}
