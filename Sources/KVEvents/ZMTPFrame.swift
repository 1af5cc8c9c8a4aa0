/// The bytes of ZMTP 3 (RFC 23, RFC 37) that a node sends: greeting, frames and commands.
package enum ZMTPFrame {
    static let moreBit: UInt8 = 1
    static let longBit: UInt8 = 2
    static let commandBit: UInt8 = 4

    /// Bytes of a greeting.
    package static let greetingByteCount = 64

    /// A greeting of version 3.1 with the NULL mechanism.
    package static let greeting: [UInt8] = {
        var bytes: [UInt8] = [0xFF] + [UInt8](repeating: 0, count: 7) + [1, 0x7F, 3, 1]
        bytes += mechanism
        return bytes + [UInt8](repeating: 0, count: greetingByteCount - bytes.count)
    }()

    /// The mechanism's name as greetings carry it.
    static let mechanism: [UInt8] = Array("NULL".utf8) + [UInt8](repeating: 0, count: 16)

    /// Adds a frame of a message.
    package static func append(_ body: some Collection<UInt8>, more: Bool, to bytes: inout [UInt8]) {
        append(body, flags: more ? moreBit : 0, to: &bytes)
    }

    /// A whole message.
    package static func message(_ parts: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() { append(part, more: index + 1 < parts.count, to: &bytes) }
        return bytes
    }

    /// A command of a name, with its data.
    package static func command(_ name: String, _ data: some Collection<UInt8> = []) -> [UInt8] {
        var body: [UInt8] = [UInt8(truncatingIfNeeded: name.utf8.count)]
        body += name.utf8
        body += data
        var bytes: [UInt8] = []
        append(body, flags: commandBit, to: &bytes)
        return bytes
    }

    /// One property of a READY command.
    package static func property(_ name: String, _ value: some Collection<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(truncatingIfNeeded: name.utf8.count)]
        bytes += name.utf8
        bytes.append(bigEndian: UInt64(value.count), byteCount: 4)
        return bytes + value
    }

    private static func append(_ body: some Collection<UInt8>, flags: UInt8, to bytes: inout [UInt8]) {
        if body.count < 0x100 {
            bytes.append(flags)
            bytes.append(UInt8(truncatingIfNeeded: body.count))
        } else {
            bytes.append(flags | longBit)
            bytes.append(bigEndian: UInt64(body.count), byteCount: 8)
        }
        bytes += body
    }
}
