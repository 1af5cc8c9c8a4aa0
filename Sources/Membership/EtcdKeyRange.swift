/// The keys under a name that ends with a slash.
struct EtcdKeyRange: Sendable, Hashable {
    /// The name: the first key there can be.
    let first: [UInt8]
    /// The first key behind them all.
    let end: [UInt8]

    /// Takes the name with its slash.
    init(under name: String) {
        first = Array(name.utf8)
        // "0" is the character behind "/".
        end = Array(name.utf8.dropLast()) + [UInt8(ascii: "0")]
    }
}
