/// Decides which of the waiting password checks is next. Pure: it stores the attempts, the caller performs them.
///
/// Attempts wait in three lanes, by what is known of who sends them. A lane gives its turns to one source after the
/// other, where a source is an address and the user that it tries. So neither many connections of one address nor many
/// attempts at one user hold up the rest. Three turns of four go to the first lane with an attempt, the fourth to the
/// last one, so that nobody waits for ever.
struct AuthenticationQueue<Attempt> {
    /// What is known of who sends an attempt, the best first.
    enum Standing: Int, CaseIterable, Comparable {
        /// Neither the address nor the connection has failed lately.
        case clean
        /// Another connection of the address has failed lately.
        case addressFailed
        /// The connection itself has failed.
        case connectionFailed

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// Whose turns are counted together.
    struct Source: Hashable {
        /// An IPv4 address, or the network of an IPv6 address.
        var address: String
        /// The user that is tried; `nil` for all names that no user has.
        var user: String?
    }

    private struct Lane {
        var waiting: [Source: [Attempt]] = [:]
        /// The sources that wait, the one whose turn is next first.
        var turns: [Source] = []
    }

    private var lanes = [Lane](repeating: Lane(), count: Standing.allCases.count)
    private var turnCount = 0
    /// Attempts that wait.
    private(set) var count = 0

    private let countMax: Int
    private let countPerSourceMax: Int

    /// - Parameters:
    ///   - countMax: most attempts that wait. Those of the second lane are refused when three quarters of it are taken,
    ///     those of the third when half is: the rest is for addresses that come for the first time.
    ///   - countPerSourceMax: most attempts of one source that wait in a lane.
    init(countMax: Int, countPerSourceMax: Int) {
        self.countMax = countMax
        self.countPerSourceMax = countPerSourceMax
    }

    /// Adds an attempt; false when there is no room for it.
    mutating func add(_ attempt: Attempt, of source: Source, _ standing: Standing) -> Bool {
        let waitingCount = lanes[standing.rawValue].waiting[source]?.count ?? 0
        guard count < share(of: standing), waitingCount < countPerSourceMax else { return false }
        if waitingCount == 0 { lanes[standing.rawValue].turns.append(source) }
        lanes[standing.rawValue].waiting[source, default: []].append(attempt)
        count += 1
        return true
    }

    /// Takes out the attempt whose turn it is; `nil` when none waits.
    mutating func next() -> Attempt? {
        turnCount &+= 1
        let order = turnCount.isMultiple(of: 4) ? Array(lanes.indices.reversed()) : Array(lanes.indices)
        for lane in order {
            if let attempt = takeFirst(of: lane) { return attempt }
        }
        return nil
    }

    private mutating func takeFirst(of lane: Int) -> Attempt? {
        guard !lanes[lane].turns.isEmpty else { return nil }
        let source = lanes[lane].turns.removeFirst()
        guard var attempts = lanes[lane].waiting.removeValue(forKey: source), !attempts.isEmpty else {
            return nil
        }
        let attempt = attempts.removeFirst()
        if !attempts.isEmpty {
            lanes[lane].waiting[source] = attempts
            lanes[lane].turns.append(source)
        }
        count -= 1
        return attempt
    }

    private func share(of standing: Standing) -> Int {
        switch standing {
        case .clean: countMax
        case .addressFailed: countMax - countMax / 4
        case .connectionFailed: countMax / 2
        }
    }
}
