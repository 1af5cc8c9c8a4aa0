internal import RESP

extension ConnectionThread {
    /// Transfers in a row before the deadlines are looked at again.
    private static let transferCountMax = 32

    /// Sends until the socket takes no more.
    func send(_ socket: StreamSocket) {
        if pipeline.callToSend != nil, !isProving { describeNamespaces() }
        for _ in 0..<Self.transferCountMax {
            guard let call = sendableCall else { return }
            var transfer = StreamSocket.Transfer.wouldBlock
            unsafe call.request.sendNext(&call.progress, countMax: 64) { pieces in
                transfer = unsafe socket.send(pieces)
                guard case .bytes(let count) = transfer else { return 0 }
                return count
            }
            switch transfer {
            case .bytes: pipeline.sent(at: now)
            case .wouldBlock: return
            case .closed, .failed: return lost(.connectionLost, .failed)
            }
        }
    }

    /// Receives until the socket has no more, and hands the replies to their calls.
    func receive(_ socket: StreamSocket) {
        for _ in 0..<Self.transferCountMax {
            switch stream.receive(socket, for: pipeline.head?.receiver) {
            case .bytes:
                pipeline.received(at: now)
                guard readReplies() else { return }
            case .wouldBlock: return
            case .closed, .failed: return lost(.connectionLost, .failed)
            }
        }
    }

    /// `false` when the connection was given up.
    private func readReplies() -> Bool {
        do throws(ReplyProtocolError) {
            while let isWhole = try stream.step(pipeline.head?.receiver) {
                guard isWhole else { continue }
                pipeline.headAnswered(at: now)
                if let handshakeFailure {
                    lost(handshakeFailure, .failed)
                    return false
                }
                goOnGreeting()
                settings.health.succeeded()
            }
            return true
        } catch {
            lost(LarderClientError(.protocolViolation, error.message), .failed)
            return false
        }
    }
}

extension LarderClientError {
    static let connectionLost = LarderClientError(.unreachable, "the node closed the connection")
}
