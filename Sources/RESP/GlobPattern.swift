/// Redis's glob: `*`, `?`, `[a-z]`, `[^x]`, `\` quotes. Matching takes at most pattern length times key length steps.
package struct GlobPattern: Sendable, Hashable {
    private enum Piece: Hashable {
        case any
        case one
        case byte(UInt8)
        case among([ClosedRange<UInt8>], isNegated: Bool)
    }

    private let pieces: [Piece]

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
        case .among(let ranges, let isNegated): ranges.contains { $0.contains(byte) } != isNegated
        }
    }

    /// Reads a set after its `[`; one without `]` reaches to the end of the pattern, as in Redis.
    private static func set(_ pattern: [UInt8], _ index: inout Int) -> Piece {
        let isNegated = index < pattern.count && pattern[index] == UInt8(ascii: "^")
        if isNegated { index += 1 }
        var ranges: [ClosedRange<UInt8>] = []
        while index < pattern.count {
            let byte = pattern[index]
            index += 1
            if byte == UInt8(ascii: "]") { break }
            if byte == UInt8(ascii: "\\"), index < pattern.count {
                ranges.append(pattern[index]...pattern[index])
                index += 1
            } else if index + 1 < pattern.count, pattern[index] == UInt8(ascii: "-") {
                let end = pattern[index + 1]
                ranges.append(min(byte, end)...max(byte, end))
                index += 2
            } else {
                ranges.append(byte...byte)
            }
        }
        return .among(ranges, isNegated: isNegated)
    }
}
