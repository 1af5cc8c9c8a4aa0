/// Redis's glob: `*`, `?`, `[a-z]`, `[^x]`, `\` quotes. Matching takes at most pattern length times key length steps.
package struct GlobPattern: Sendable, Hashable {
    private enum Piece: Hashable {
        case any
        case one
        case byte(UInt8)
        /// The bytes whose bits are set, of 256.
        case among(SIMD4<UInt64>)
    }

    private let pieces: [Piece]

    /// Longest pattern that a node takes, bytes.
    package static let byteCountMax = 1_024

    /// Reads a pattern; every sequence of bytes is one.
    package init(_ pattern: [UInt8]) {
        var pieces: [Piece] = []
        var index = 0
        while index < pattern.count {
            let byte = pattern[index]
            index += 1
            switch byte {
            case UInt8(ascii: "*"):
                if pieces.last != .any { pieces.append(.any) }
            case UInt8(ascii: "?"):
                pieces.append(.one)
            case UInt8(ascii: "["):
                pieces.append(Self.set(pattern, &index))
            case UInt8(ascii: "\\") where index < pattern.count:
                pieces.append(.byte(pattern[index]))
                index += 1
            default:
                pieces.append(.byte(byte))
            }
        }
        self.pieces = pieces
    }

    /// Whether the whole of `text` matches.
    package func matches(_ text: [UInt8]) -> Bool {
        var piece = 0
        var index = 0
        var retry: (piece: Int, index: Int)?
        while index < text.count {
            if piece < pieces.count, pieces[piece] == .any {
                retry = (piece, index)
                piece += 1
            } else if piece < pieces.count, Self.accepts(pieces[piece], text[index]) {
                piece += 1
                index += 1
            } else if let last = retry {
                retry = (last.piece, last.index + 1)
                piece = last.piece + 1
                index = last.index + 1
            } else {
                return false
            }
        }
        return pieces[piece...].allSatisfy { $0 == .any }
    }

    private static func accepts(_ piece: Piece, _ byte: UInt8) -> Bool {
        switch piece {
        case .any: false
        case .one: true
        case .byte(let expected): expected == byte
        case .among(let bits): bits[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1
        }
    }

    /// Reads a set after its `[`; one without `]` reaches to the end of the pattern, as in Redis.
    private static func set(_ pattern: [UInt8], _ index: inout Int) -> Piece {
        let isNegated = index < pattern.count && pattern[index] == UInt8(ascii: "^")
        if isNegated { index += 1 }
        var bits = SIMD4<UInt64>.zero
        func add(_ range: ClosedRange<UInt8>) {
            for byte in range { bits[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }
        }
        while index < pattern.count {
            let byte = pattern[index]
            index += 1
            if byte == UInt8(ascii: "]") { break }
            if byte == UInt8(ascii: "\\"), index < pattern.count {
                add(pattern[index]...pattern[index])
                index += 1
            } else if index + 1 < pattern.count, pattern[index] == UInt8(ascii: "-") {
                let end = pattern[index + 1]
                add(min(byte, end)...max(byte, end))
                index += 2
            } else {
                add(byte...byte)
            }
        }
        return .among(isNegated ? ~bits : bits)
    }
}
