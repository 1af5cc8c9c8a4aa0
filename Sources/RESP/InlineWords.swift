/// Splits an inline request into its words as Redis does: spaces separate, `"..."` knows escapes, `'...'` only `\'`.
enum InlineWords {
    /// The words of `line`; `nil` when quotes are not balanced, or are followed by something else than a space.
    static func split(_ line: [UInt8]) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var index = 0
        while true {
            while index < line.count, isSpace(line[index]) { index += 1 }
            guard index < line.count else { return words }
            var word: [UInt8] = []
            while index < line.count, !isSpace(line[index]) {
                let byte = line[index]
                index += 1
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "'"):
                    guard takeQuoted(byte, line, &index, &word) else { return nil }
                    guard index == line.count || isSpace(line[index]) else { return nil }
                default:
                    word.append(byte)
                }
            }
            words.append(word)
        }
    }

    /// Reads up to the closing quote; false when there is none.
    private static func takeQuoted(_ quote: UInt8, _ line: [UInt8], _ index: inout Int, _ word: inout [UInt8])
        -> Bool
    {
        while index < line.count {
            let byte = line[index]
            index += 1
            if byte == quote { return true }
            guard byte == UInt8(ascii: "\\"), index < line.count else {
                word.append(byte)
                continue
            }
            if quote == UInt8(ascii: "\"") {
                word.append(unescaped(line, &index))
            } else if line[index] == quote {
                word.append(quote)
                index += 1
            } else {
                word.append(byte)
            }
        }
        return false
    }

    /// The byte that the escape at `index`, after the backslash, stands for.
    private static func unescaped(_ line: [UInt8], _ index: inout Int) -> UInt8 {
        if line[index] == UInt8(ascii: "x"), index + 2 < line.count,
            let high = hexadecimal(line[index + 1]), let low = hexadecimal(line[index + 2])
        {
            index += 3
            return high << 4 | low
        }
        let byte = line[index]
        index += 1
        return switch byte {
        case UInt8(ascii: "n"): UInt8(ascii: "\n")
        case UInt8(ascii: "r"): UInt8(ascii: "\r")
        case UInt8(ascii: "t"): UInt8(ascii: "\t")
        case UInt8(ascii: "b"): 8
        case UInt8(ascii: "a"): 7
        default: byte
        }
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || (9...13).contains(byte) || byte == 0
    }
}
