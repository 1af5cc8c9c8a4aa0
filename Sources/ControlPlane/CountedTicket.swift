internal import Synchronization

/// How many of something there are at a time, with a bound.
final class TicketCounter: Sendable {
    private let count = Mutex(0)
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = countMax
    }

    /// How many there are now.
    var value: Int { count.withLock { $0 } }

    /// Counts `amount` more until the ticket goes; `nil` beyond the bound, unless it is the only one.
    func take(_ amount: Int = 1) -> CountedTicket? {
        let isTaken = count.withLock { count in
            guard amount >= 0, count == 0 || amount <= countMax - count else { return false }
            count += amount
            return true
        }
        return isTaken ? CountedTicket(self, amount) : nil
    }

    fileprivate func giveBack(_ amount: Int) {
        count.withLock { $0 -= amount }
    }
}

/// A place among those that there are.
final class CountedTicket: Sendable {
    private let counter: TicketCounter
    private let amount: Int

    fileprivate init(_ counter: TicketCounter, _ amount: Int) {
        self.counter = counter
        self.amount = amount
    }

    deinit { counter.giveBack(amount) }
}

/// How many of something there are at a time, altogether and for each key.
final class KeyedTicketCounter: Sendable {
    private struct State {
        var count = 0
        var counts: [String: Int] = [:]
    }

    private let state = Mutex(State())
    private let countMax: Int
    private let countPerKeyMax: Int

    init(countMax: Int, countPerKeyMax: Int) {
        self.countMax = countMax
        self.countPerKeyMax = countPerKeyMax
    }

    /// Counts one more until the ticket goes; `nil` beyond a bound.
    func take(_ key: String) -> KeyedTicket? {
        let isTaken = state.withLock { state in
            guard state.count < countMax, state.counts[key, default: 0] < countPerKeyMax else { return false }
            state.count += 1
            state.counts[key, default: 0] += 1
            return true
        }
        return isTaken ? KeyedTicket(self, key) : nil
    }

    fileprivate func giveBack(_ key: String) {
        state.withLock { state in
            state.count -= 1
            let count = (state.counts[key] ?? 1) - 1
            state.counts[key] = count > 0 ? count : nil
        }
    }
}

/// A place among those of a key.
final class KeyedTicket: Sendable {
    private let counter: KeyedTicketCounter
    private let key: String

    fileprivate init(_ counter: KeyedTicketCounter, _ key: String) {
        self.counter = counter
        self.key = key
    }

    deinit { counter.giveBack(key) }
}
