/// What a node of a cluster is called: 1 to 63 letters, digits, dots, hyphens and underscores, chosen by who runs it.
///
/// A node that comes back under its name is the same node, with the same slots.
public struct NodeName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Most characters of a name: those of a host name's label.
    public static let characterCountMax = 63

    /// The name as text.
    public let description: String

    /// Takes a name; `nil` unless it is one.
    public init?(_ text: some StringProtocol) {
        guard (1...Self.characterCountMax).contains(text.utf8.count), text.utf8.allSatisfy(Self.mayHave)
        else {
            return nil
        }
        description = String(text)
    }

    /// By bytes, the same on every node.
    public static func < (left: NodeName, right: NodeName) -> Bool {
        left.description.utf8.lexicographicallyPrecedes(right.description.utf8)
    }

    private static func mayHave(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
