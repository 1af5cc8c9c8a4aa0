internal import RESP

#if canImport(Glibc)
    internal import Glibc
#endif

/// A blocking RESP connection for the commands a person types: one request, one reply, and a clear error.
///
/// Engines use LarderClient, which never fails; a person wants to know why.
final class NodeConnection {
    private let socket: NodeSocket
    private var parser = ReplyParser()
    private var received: [UInt8] = []

    /// Connects, says HELLO, and authenticates when there are credentials.
    init(to address: NodeAddress, as credentials: Credentials?, timeout: TimeSpan) throws(CommandFailure) {
        socket = try NodeSocket(connectingTo: address, timeout: timeout)
        var hello: [[UInt8]] = [Array("HELLO".utf8), Array("3".utf8)]
        if let credentials {
            hello += [Array("AUTH".utf8), Array(credentials.user.utf8), credentials.password]
        }
        _ = try call(hello)
    }

    /// Sends one command and returns its reply; an error reply is thrown.
    func call(_ arguments: [[UInt8]]) throws(CommandFailure) -> Reply {
        try send(arguments)
        return try Self.successful(try receive())
    }

    /// Sends one command of words.
    func call(_ words: String...) throws(CommandFailure) -> Reply {
        try call(words.map { Array($0.utf8) })
    }

    private func send(_ arguments: [[UInt8]]) throws(CommandFailure) {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: arguments.count)
        for argument in arguments { encoder.append(argument) }
        try socket.send(encoder.finish())
    }

    private func receive() throws(CommandFailure) -> Reply {
        var builder = ReplyBuilder(byteCountMax: 1 << 30)
        while true {
            let bytes = received
            var consumed = 0
            if let reply = try Self.nextReply(bytes, &consumed, &parser, &builder) {
                received.removeFirst(consumed)
                return reply
            }
            received = Array(bytes[consumed...]) + (try socket.receive(byteCountMax: 1 << 20))
        }
    }

    private static func nextReply(
        _ bytes: [UInt8],
        _ consumed: inout Int,
        _ parser: inout ReplyParser,
        _ builder: inout ReplyBuilder
    ) throws(CommandFailure) -> Reply? {
        let span = unsafe bytes.span.bytes
        do throws(ReplyProtocolError) {
            while let event = try parser.next(span, consumed: &consumed) {
                if let reply = try builder.add(event, of: span) { return reply }
            }
            return nil
        } catch {
            throw CommandFailure(.software, "the other side does not speak RESP: \(error.message)")
        }
    }

    private static func successful(_ reply: Reply) throws(CommandFailure) -> Reply {
        guard case .failure(let failure) = reply else { return reply }
        switch failure.code {
        case "NOAUTH":
            throw CommandFailure(.noPermission, "the node wants a user: give --user and --password-file")
        case "WRONGPASS":
            throw CommandFailure(.noPermission, "the node refused the user name or password")
        case "NOPERM":
            throw CommandFailure(.noPermission, "the node refused: \(failure.text)")
        default:
            throw CommandFailure(.software, "the node answered: \(failure.text)")
        }
    }
}

/// A user's name and password.
struct Credentials: Sendable {
    let user: String
    let password: [UInt8]
}
