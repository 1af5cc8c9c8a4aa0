/// Requests of made-up conversations: chains that grow turn by turn, behind system prompts that many share.
public struct ConversationWorkload: Sendable {
    /// Chance that a turn is followed by another one.
    public var continuation = 0.6
    /// Mean pause between two turns, in requests of others.
    public var pause = 200.0
    /// Mean blocks of a first turn, the system prompt aside.
    public var firstTurnBlockCount = 20.0
    /// Mean blocks of a later turn.
    public var turnBlockCount = 4.0
    /// System prompts.
    public var promptCount = 5
    /// Blocks of each system prompt.
    public var promptBlockCount = 3

    /// The usual mix.
    public init() {}

    /// So many requests, each the numbers of its blocks.
    public func requests(_ count: Int, seed: UInt64) -> [[Int]] {
        var random = SeededRandom(seed: seed)
        var nextBlock = promptCount * promptBlockCount
        var due: [Int: [[Int]]] = [:]
        var requests: [[Int]] = []
        while requests.count < count {
            var chain: [Int]
            let ready = due[requests.count]?.popLast()
            if let ready {
                chain = ready
            } else {
                let prompt = Int.random(in: 0..<promptCount, using: &random)
                chain = Array((prompt * promptBlockCount)..<((prompt + 1) * promptBlockCount))
            }
            let mean = ready == nil ? firstTurnBlockCount : turnBlockCount
            for _ in 0..<Self.spread(mean, &random) {
                chain.append(nextBlock)
                nextBlock += 1
            }
            requests.append(chain)
            if Double.random(in: 0..<1, using: &random) < continuation {
                var time = requests.count + Self.spread(pause, &random)
                while due[time] != nil { time += 1 }
                due[time] = [chain]
            }
        }
        return requests
    }

    /// A whole number from half to one and a half times the mean, at least 1.
    private static func spread(_ mean: Double, _ random: inout SeededRandom) -> Int {
        max(1, Int(mean * Double.random(in: 0.5..<1.5, using: &random)))
    }
}
