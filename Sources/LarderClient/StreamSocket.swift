internal import CPosix

#if canImport(Glibc)
    internal import Glibc
#endif

/// A connected stream socket, TCP or Unix: the system calls that client and load generator need, and no more.
package final class StreamSocket: Sendable {
    /// What a transfer did.
    package enum Transfer: Hashable, Sendable {
        /// So many bytes went through.
        case bytes(Int)
        /// Nothing now; wait for the socket.
        case wouldBlock
        /// The peer has closed its end.
        case closed
        /// The connection is broken: errno.
        case failed(Int32)
    }

    /// The file descriptor, for `poll`.
    package let descriptor: Int32

    /// Begins to connect without waiting; `nil` when it is refused at once.
    ///
    /// Writable means that it is over: then ask ``connectError()``.
    package init?(connectingTo address: SocketAddress) {
        descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue) | Self.flags, 0)
        guard descriptor >= 0 else { return nil }
        if address.family != AF_UNIX { setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
        // SAFETY: the address is read during the call.
        let result = unsafe address.withPointer { unsafe connect(descriptor, $0, $1) }
        guard result == 0 || errno == EINPROGRESS else {
            Glibc.close(descriptor)
            return nil
        }
    }

    deinit { Glibc.close(descriptor) }

    private static let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

    /// Why connecting failed: errno, or 0 when it did not.
    package func connectError() -> Int32 {
        var code: Int32 = 0
        var byteCount = socklen_t(MemoryLayout<Int32>.size)
        // SAFETY: the option is an int; its size is given.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &byteCount) == 0 else {
            return errno
        }
        return code
    }

    /// Sends what it can of `pieces`, at most 64 of them.
    package func send(_ pieces: [UnsafeRawBufferPointer]) -> Transfer {
        var vectors = unsafe pieces.prefix(64).map { piece in
            unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress), iov_len: piece.count)
        }
        // SAFETY: sendmsg only reads the vectors and what they point to, during the call.
        return unsafe vectors.withUnsafeMutableBufferPointer { vectors in
            var message = unsafe msghdr()
            unsafe message.msg_iov = vectors.baseAddress
            unsafe message.msg_iovlen = vectors.count
            return transfer { unsafe sendmsg(descriptor, &message, Self.dontBlock | Self.noSignal) }
        }
    }

    /// Receives into `first`, and what comes beyond it into `second`; does not wait.
    package func receive(
        _ first: UnsafeMutableRawBufferPointer,
        _ second: UnsafeMutableRawBufferPointer
    ) -> Transfer {
        // SAFETY: recvmsg writes at most the given lengths, during the call.
        unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
            unsafe vectors.initializeElement(
                at: 0,
                to: iovec(iov_base: first.baseAddress, iov_len: first.count)
            )
            unsafe vectors.initializeElement(
                at: 1,
                to: iovec(iov_base: second.baseAddress, iov_len: second.count)
            )
            var message = unsafe msghdr()
            unsafe message.msg_iov = vectors.baseAddress
            unsafe message.msg_iovlen = 2
            return transfer { unsafe recvmsg(descriptor, &message, Self.dontBlock) }
        }
    }

    /// Receives into `buffer`; does not wait.
    package func receive(_ buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        // SAFETY: recv writes at most the buffer's length, during the call.
        transfer { unsafe recv(descriptor, buffer.baseAddress, buffer.count, Self.dontBlock) }
    }

    /// Receives into `buffer`, and into `passed` a descriptor that came with the bytes, which the caller closes; does not
    /// wait.
    func receive(_ buffer: UnsafeMutableRawBufferPointer, passing passed: inout Int32?) -> Transfer {
        transfer {
            var received: Int32 = -1
            // SAFETY: at most the buffer's length is written, during the call.
            let count = unsafe larder_receive_descriptor(
                descriptor,
                buffer.baseAddress,
                buffer.count,
                &received
            )
            if received >= 0 {
                if let older = passed { Glibc.close(older) }
                passed = received
            }
            return count
        }
    }

    /// Waits until the socket can be read (or written, when asked), at most `milliseconds`; `false` when the time is
    /// over.
    package func wait(isWriting: Bool, milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN | (isWriting ? POLLOUT : 0)), revents: 0)
        // SAFETY: one entry, read and written during the call.
        return unsafe poll(&entry, 1, milliseconds) > 0
    }

    /// Lets ``receiveWaiting(_:isWhole:)`` wait, for `seconds` at most.
    package func makeBlocking(seconds: Int) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        // SAFETY: a timeval option; read during the call.
        _ = unsafe setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &time,
            socklen_t(MemoryLayout<timeval>.size)
        )
    }

    /// Receives into `buffer`, waiting for the first byte, or for all of them when `isWhole`.
    package func receiveWaiting(_ buffer: UnsafeMutableRawBufferPointer, isWhole: Bool) -> Transfer {
        let flags = isWhole ? Int32(MSG_WAITALL) : 0
        // SAFETY: recv writes at most the buffer's length, during the call.
        return transfer { unsafe recv(descriptor, buffer.baseAddress, buffer.count, flags) }
    }

    private func transfer(_ body: () -> Int) -> Transfer {
        while true {
            let count = body()
            if count > 0 { return .bytes(count) }
            if count == 0 { return .closed }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case let code: return .failed(code)
            }
        }
    }

    private func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        // SAFETY: an int option; read during the call. A socket that does not take it works without.
        _ = unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static let dontBlock = Int32(MSG_DONTWAIT)
    private static let noSignal = Int32(MSG_NOSIGNAL)
}
