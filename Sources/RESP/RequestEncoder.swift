/// Writes requests as RESP arrays of bulk strings.
///
/// Small arguments are copied into one buffer; payloads are only referred to, so that they go to the socket
/// from where they lie.
package struct RequestEncoder {
    private var framing: [UInt8] = []
    private var payloads: [EncodedRequest.Payload] = []

    /// An encoder with nothing in it.
    package init() {}

    /// Begins a request of `argumentCount` arguments, its name included.
    ///
    /// Requests may follow each other: a pipeline.
    package mutating func begin(argumentCount: Int) {
        framing.append(UInt8(ascii: "*"))
        appendLine(argumentCount)
    }

    /// Adds a text argument.
    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { unsafe append(copying: UnsafeRawBufferPointer($0)) }
    }

    /// Adds a number as decimal text.
    package mutating func append(_ value: Int) {
        append(String(value))
    }

    /// Adds bytes, copied.
    package mutating func append(_ bytes: RawSpan) {
        // SAFETY: the bytes are copied before the call returns.
        unsafe bytes.withUnsafeBytes { unsafe append(copying: $0) }
    }

    /// Adds bytes, copied.
    package mutating func append(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe append(copying: $0) }
    }

    /// Adds a payload by reference.
    ///
    /// - Safety: the memory stays readable and unchanged until the request is sent or given up.
    @unsafe
    package mutating func append(payload: UnsafeRawBufferPointer) {
        beginArgument(byteCount: payload.count)
        // SAFETY: the caller keeps the memory alive, see above.
        unsafe payloads.append(EncodedRequest.Payload(framingOffset: framing.count, bytes: payload))
        endArgument()
    }

    /// What was written.
    package consuming func finish() -> EncodedRequest {
        EncodedRequest(framing: framing, payloads: payloads)
    }

    private mutating func append(copying bytes: UnsafeRawBufferPointer) {
        beginArgument(byteCount: bytes.count)
        unsafe framing.append(contentsOf: bytes)
        endArgument()
    }

    private mutating func beginArgument(byteCount: Int) {
        framing.append(UInt8(ascii: "$"))
        appendLine(byteCount)
    }

    private mutating func endArgument() {
        framing.append(UInt8(ascii: "\r"))
        framing.append(UInt8(ascii: "\n"))
    }

    private mutating func appendLine(_ value: Int) {
        framing.append(contentsOf: String(value).utf8)
        endArgument()
    }
}
