internal import ArgumentParser

/// How the program ends; the numbers above 63 are those of sysexits.h.
enum ExitStatus: Int32, CaseIterable {
    case success = 0
    case negative = 1
    case usage = 64
    case noInput = 66
    case unavailable = 69
    case software = 70
    case inputOutput = 74
    case noPermission = 77
    case configuration = 78

    /// What the number means, for the help.
    var meaning: String {
        switch self {
        case .success: "done, and the answer is yes"
        case .negative: "done, but the answer is no: a key is absent, a block was refused, a check failed"
        case .usage: "the command line is wrong"
        case .noInput: "an input file is missing or not readable"
        case .unavailable: "the node cannot be reached, or what it needs (port, data directory) is taken"
        case .software: "the node answered with an error or with something unexpected"
        case .inputOutput: "reading or writing failed"
        case .noPermission: "the node refused the credentials"
        case .configuration: "a setting in the environment or the configuration file is wrong"
        }
    }

    /// The exit statuses as lines of help.
    static var table: String {
        "EXIT STATUS:\n"
            + allCases.map { status in
                let number = String(status.rawValue)
                return "  \(number)\(String(repeating: " ", count: 4 - number.count))\(status.meaning)"
            }.joined(separator: "\n")
    }
}

/// A failure that a person reads: one line that says what happened and what to do, and how the program ends.
struct CommandFailure: Error, CustomStringConvertible, Equatable {
    let status: ExitStatus
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}
