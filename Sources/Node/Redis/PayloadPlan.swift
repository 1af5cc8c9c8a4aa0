internal import RESP

/// Where a payload goes that a request announces, decided from the arguments before it.
enum PayloadPlan: Hashable {
    /// It is the value of the key at this index, in the selected database.
    case value(keyIndex: Int)
    /// It is a block of KV.PUT with the key at this index.
    case block(keyIndex: Int)
    /// Nobody wants it: it is read and dropped, and the request is answered with an error.
    case discard

    /// Decides for the payload at `index`.
    static func plan(_ command: Command, _ arguments: RequestArguments, index: Int) -> PayloadPlan {
        switch command {
        case .set, .setnx: index == 2 ? checked(.value(keyIndex: 1), arguments) : .discard
        case .setex, .psetex: index == 3 ? checked(.value(keyIndex: 1), arguments) : .discard
        case .mset:
            index >= 2 && index.isMultiple(of: 2) ? checked(.value(keyIndex: index - 1), arguments) : .discard
        case .kvPut: index >= 5 ? checked(.block(keyIndex: index - 1), arguments) : .discard
        default: .discard
        }
    }

    /// A key that is no key itself makes its value unwanted.
    private static func checked(_ plan: PayloadPlan, _ arguments: RequestArguments) -> PayloadPlan {
        let keyIndex =
            switch plan {
            case .value(let index), .block(let index): index
            case .discard: 0
            }
        return arguments.isKey(at: keyIndex) ? plan : .discard
    }
}
