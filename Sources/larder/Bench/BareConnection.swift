#if canImport(Glibc)
    internal import Glibc
#endif

/// Answers one connection of the bare server, on the thread that serves it.
@safe final class BareConnection: @unchecked Sendable {
    // SAFETY of @unchecked Sendable: made by one thread and handed to another, which alone uses it.
    private let descriptor: Int32
    private let store: BareStore
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    private var consumed = 0
    private var filled = 0

    private static let valueByteCountMax = 512 << 20
    private static let wordByteCountMax = 4 << 10

    /// Takes over an accepted socket.
    init(_ descriptor: Int32, _ store: BareStore) {
        self.descriptor = descriptor
        self.store = store
    }

    deinit {
        close(descriptor)
        unsafe buffer.deallocate()
    }

    /// Serves until the client goes or sends what is no request.
    func serve() { while answerNext() {} }

    private func answerNext() -> Bool {
        guard let count = readCount(UInt8(ascii: "*")), count > 0, let name = readWord() else { return false }
        switch (String(decoding: name, as: UTF8.self).uppercased(), count) {
        case ("GET", 2):
            guard let key = readWord() else { return false }
            guard let value = store.value(key) else { return send("$-1\r\n") }
            return unsafe send("$\(value.memory.count)\r\n", UnsafeRawBufferPointer(value.memory), "\r\n")
        case ("SET", 3):
            guard let key = readWord(), let byteCount = readCount(UInt8(ascii: "$")),
                byteCount <= Self.valueByteCountMax
            else { return false }
            let value = store.make(byteCount: byteCount)
            guard unsafe receive(value.memory), skipLineEnd() else { return false }
            store.put(key, value)
            return send("+OK\r\n")
        case ("EXISTS", 2):
            return readWord().map { send(store.value($0) == nil ? ":0\r\n" : ":1\r\n") } ?? false
        case ("DEL", _):
            var removedCount = 0
            for _ in 1..<count {
                guard let key = readWord() else { return false }
                if store.remove(key) { removedCount += 1 }
            }
            return send(":\(removedCount)\r\n")
        case ("PING", 1): return send("+PONG\r\n")
        default:
            for _ in 1..<count { guard readWord() != nil else { return false } }
            return send("-ERR unknown command\r\n")
        }
    }

    // MARK: Reading

    /// The number of a line that begins with `mark`; `nil` when the connection is over.
    private func readCount(_ mark: UInt8) -> Int? {
        var value = 0
        var isFirst = true
        while let byte = readByte() {
            switch byte {
            case mark where isFirst: isFirst = false
            case UInt8(ascii: "0")...UInt8(ascii: "9") where !isFirst && value < 1 << 40:
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "\r") where !isFirst: return readByte() == UInt8(ascii: "\n") ? value : nil
            default: return nil
            }
        }
        return nil
    }

    private func readWord() -> [UInt8]? {
        guard let count = readCount(UInt8(ascii: "$")), count <= Self.wordByteCountMax else { return nil }
        var word: [UInt8] = []
        word.reserveCapacity(count)
        while word.count < count {
            guard let byte = readByte() else { return nil }
            word.append(byte)
        }
        return skipLineEnd() ? word : nil
    }

    private func skipLineEnd() -> Bool {
        readByte() == UInt8(ascii: "\r") && readByte() == UInt8(ascii: "\n")
    }

    private func readByte() -> UInt8? {
        if consumed == filled {
            // SAFETY: recv writes at most the buffer's length, during the call.
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            guard count > 0 else { return nil }
            consumed = 0
            filled = count
        }
        defer { consumed += 1 }
        return unsafe buffer[consumed]
    }

    /// All bytes of a value: those that are here, and the rest past the buffer.
    private func receive(_ memory: UnsafeMutableRawBufferPointer) -> Bool {
        var done = min(memory.count, filled - consumed)
        // SAFETY: both are at least `done` bytes long and apart.
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<done])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[consumed..<(consumed + done)]))
        consumed += done
        while done < memory.count {
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[done...])
            // SAFETY: recv writes at most the rest's length, during the call.
            let count = unsafe recv(descriptor, rest.baseAddress, rest.count, Int32(MSG_WAITALL))
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    // MARK: Sending

    private func send(_ text: String) -> Bool {
        unsafe send(text, UnsafeRawBufferPointer(start: nil, count: 0), "")
    }

    private func send(_ head: String, _ body: UnsafeRawBufferPointer, _ tail: String) -> Bool {
        let head = Array(head.utf8)
        let tail = Array(tail.utf8)
        let total = head.count + body.count + tail.count
        var sent = 0
        return unsafe head.withUnsafeBytes { head in
            unsafe tail.withUnsafeBytes { tail in
                while sent < total {
                    let count = unsafe sendOnce([head, body, tail], skipping: sent)
                    guard count > 0 else { return false }
                    sent += count
                }
                return true
            }
        }
    }

    private func sendOnce(_ pieces: [UnsafeRawBufferPointer], skipping skipped: Int) -> Int {
        var skipped = skipped
        var vectors = unsafe [iovec]()
        for index in unsafe pieces.indices {
            let piece = unsafe pieces[index]
            if skipped < piece.count {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: piece[skipped...])
                unsafe vectors.append(
                    iovec(iov_base: UnsafeMutableRawPointer(mutating: rest.baseAddress), iov_len: rest.count)
                )
            }
            skipped = max(0, skipped - piece.count)
        }
        // SAFETY: sendmsg only reads the vectors and what they point to, during the call.
        return unsafe vectors.withUnsafeMutableBufferPointer { vectors in
            var message = unsafe msghdr()
            unsafe message.msg_iov = vectors.baseAddress
            unsafe message.msg_iovlen = vectors.count
            return unsafe sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
        }
    }
}
