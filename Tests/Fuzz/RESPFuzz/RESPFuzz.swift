import NIOCore
import RESP

// Feeds arbitrary bytes to the request parser, whole and cut in two ways, and traps when the events differ.
//
//     LARDER_FUZZ=1 swift build -c release --sanitize=fuzzer --product RESPFuzz
//     SWIFT_BACKTRACE=enable=no .build/release/RESPFuzz -max_total_time=60 -dict=Tests/Fuzz/RESPFuzz/resp.dict

/// What one input led to, in a form that can be compared.
private enum Seen: Equatable {
    case request([[UInt8]])
    case payloadBegins(Int, Int)
    case payloadEnds(Int)
    case error(RequestError)
}

private let limits = RequestLimits(
    argumentCountMax: 16,
    bulkByteCountMax: 4096,
    lineByteCountMax: 64,
    smallByteCountMax: 16,
    collectedByteCountMax: 64
)

private func parse(_ bytes: ArraySlice<UInt8>, isAuthenticated: Bool, cut: (Int) -> Int) -> [Seen] {
    var parser = RequestParser(limits: limits)
    parser.isAuthenticated = isAuthenticated
    var seen: [Seen] = []
    var start = bytes.startIndex
    while start < bytes.endIndex {
        let end = min(bytes.endIndex, start + max(1, cut(start)))
        var input = ByteBuffer(bytes: bytes[start..<end])
        start = end
        while true {
            let taken = min(parser.payloadRemaining, input.readableBytes)
            input.moveReaderIndex(forwardBy: taken)
            if taken > 0 { parser.payloadAdvanced(by: taken) }
            do {
                switch try parser.next(&input) {
                case .needsMore:
                    if parser.payloadRemaining > 0, input.readableBytes > 0 { continue }
                    precondition(input.readableBytes == 0, "input is left over")
                case .request:
                    seen.append(.request((0..<parser.arguments.count).map { parser.arguments.bytes(at: $0) }))
                    examine(parser.arguments)
                    continue
                case .payloadBegins(let index, let byteCount):
                    precondition(byteCount > limits.smallByteCountMax && byteCount <= limits.bulkByteCountMax)
                    seen.append(.payloadBegins(index, byteCount))
                    continue
                case .payloadEnds(let index):
                    seen.append(.payloadEnds(index))
                    continue
                }
            } catch {
                seen.append(.error(error))
                return seen
            }
            break
        }
    }
    return seen
}

/// Reads the arguments in every way there is; none may trap.
private func examine(_ arguments: RequestArguments) {
    precondition(arguments.count <= max(limits.argumentCountMax, limits.lineByteCountMax))
    precondition(arguments.collectedByteCount <= max(limits.collectedByteCountMax, limits.lineByteCountMax))
    for index in -1...arguments.count {
        _ = arguments.integer(at: index)
        _ = arguments.matches("get", at: index)
        _ = arguments.text(at: index)
        let pattern = GlobPattern(arguments.bytes(at: index))
        for other in 0..<arguments.count { _ = pattern.matches(arguments.bytes(at: other)) }
    }
}

/// libFuzzer's entry.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(unsafe UnsafeBufferPointer(start: start, count: count))
    guard let seed = bytes.first else { return 0 }
    let isAuthenticated = seed & 1 == 0
    let input = bytes.dropFirst()
    let whole = parse(input, isAuthenticated: isAuthenticated) { _ in .max / 2 }
    let byteByByte = parse(input, isAuthenticated: isAuthenticated) { _ in 1 }
    let inPieces = parse(input, isAuthenticated: isAuthenticated) { Int(seed) % 7 + $0 % 5 }
    precondition(whole == byteByByte && whole == inPieces, "the events depend on how the input is cut")
    return 0
}
