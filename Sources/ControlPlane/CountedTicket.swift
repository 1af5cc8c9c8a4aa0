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
