internal import RESP

/// The unit of a time in a request.
enum TimeUnit {
    case seconds
    case milliseconds

    /// `value` in milliseconds; `nil` when that does not fit.
    func milliseconds(_ value: Int) -> Int? {
        let (product, overflows) = value.multipliedReportingOverflow(by: self == .seconds ? 1000 : 1)
        return overflows ? nil : product
    }

    /// Milliseconds, at least 0, as seconds, rounded half up as Redis does.
    static func wholeSeconds(_ milliseconds: Int) -> Int {
        milliseconds / 1000 + (milliseconds % 1000 >= 500 ? 1 : 0)
    }
}

/// A request that cannot be run; the text is the reply.
struct CommandError: Error, Hashable {
    let text: String
}

/// What follows the value in SET.
struct SetOptions: Hashable {
    /// When a key may be set.
    enum Condition { case always, ifAbsent, ifPresent }

    var condition = Condition.always
    /// Whether the old value is the reply.
    var returnsOld = false
    /// Whether the old expiry stays.
    var keepsTimeToLive = false
    /// When the value expires, milliseconds since 1970.
    var expiresAt: UInt64?

    /// Reads the arguments from `first` on.
    init(_ arguments: RequestArguments, from first: Int, now: UInt64) throws(CommandError) {
        var time: (index: Int, unit: TimeUnit, isAbsolute: Bool)?
        var index = first
        func takeTime(_ unit: TimeUnit, isAbsolute: Bool) throws(CommandError) {
            guard time == nil, !keepsTimeToLive, index + 1 < arguments.count else {
                throw CommandError(text: RedisConnection.syntaxError)
            }
            time = (index + 1, unit, isAbsolute)
            index += 1
        }
        while index < arguments.count {
            if arguments.matches("nx", at: index), condition != .ifPresent {
                condition = .ifAbsent
            } else if arguments.matches("xx", at: index), condition != .ifAbsent {
                condition = .ifPresent
            } else if arguments.matches("get", at: index) {
                returnsOld = true
            } else if arguments.matches("keepttl", at: index), time == nil {
                keepsTimeToLive = true
            } else if arguments.matches("ex", at: index) {
                try takeTime(.seconds, isAbsolute: false)
            } else if arguments.matches("px", at: index) {
                try takeTime(.milliseconds, isAbsolute: false)
            } else if arguments.matches("exat", at: index) {
                try takeTime(.seconds, isAbsolute: true)
            } else if arguments.matches("pxat", at: index) {
                try takeTime(.milliseconds, isAbsolute: true)
            } else {
                throw CommandError(text: RedisConnection.syntaxError)
            }
            index += 1
        }
        guard let time else { return }
        expiresAt = try Self.expiry(
            arguments,
            at: time.index,
            unit: time.unit,
            isAbsolute: time.isAbsolute,
            now: now,
            command: "set"
        )
    }

    /// Reads a positive time; the result is in milliseconds since 1970.
    static func expiry(
        _ arguments: RequestArguments,
        at index: Int,
        unit: TimeUnit,
        isAbsolute: Bool,
        now: UInt64,
        command: String
    ) throws(CommandError) -> UInt64 {
        guard let value = arguments.integer(at: index) else {
            throw CommandError(text: RedisConnection.notAnInteger)
        }
        let invalid = CommandError(text: "ERR invalid expire time in '\(command)' command")
        guard value > 0, let milliseconds = unit.milliseconds(value) else { throw invalid }
        if isAbsolute { return UInt64(milliseconds) }
        let (sum, overflows) = milliseconds.addingReportingOverflow(Int(clamping: now))
        guard !overflows else { throw invalid }
        return UInt64(sum)
    }
}
