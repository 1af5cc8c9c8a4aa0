internal import Foundation
internal import Synchronization

/// The built program, run as a process of its own.
final class RunningProgram {
    /// What a finished run gave.
    struct Result {
        let status: Int32
        let output: String
        let errors: String
    }

    private let process = Process()
    private let output = Pipe()
    private let errors = Pipe()

    /// The program that the tests were built with.
    static var path: String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "larder").path
    }

    /// Starts the program with a clean environment.
    init(_ arguments: [String], environment: [String: String] = [:], input: String = "") throws {
        process.executableURL = URL(filePath: Self.path)
        process.arguments = arguments
        process.environment = environment.merging([
            "PATH": "/usr/bin:/bin", "SWIFT_BACKTRACE": "enable=no", "LARDER_MEMORY_FILE": "off",
        ]) {
            $1
        }
        process.standardOutput = output
        process.standardError = errors
        let standardInput = Pipe()
        process.standardInput = standardInput
        try process.run()
        try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try standardInput.fileHandleForWriting.close()
    }

    /// Runs the program to its end.
    static func run(
        _ arguments: String...,
        environment: [String: String] = [:],
        input: String = ""
    ) throws -> Result {
        try RunningProgram(arguments, environment: environment, input: input).finish()
    }

    /// Waits for the end.
    func finish() throws -> Result {
        // Both pipes must be emptied while the process runs, or it waits for ever.
        let text = try String(decoding: output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        let messages = try String(decoding: errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return Result(status: process.terminationStatus, output: text, errors: messages)
    }

    /// Reads standard error up to the first line that contains `text`; `nil` when the process ends before.
    func line(containing text: String) -> String? {
        var bytes: [UInt8] = []
        while let byte = try? errors.fileHandleForReading.read(upToCount: 1)?.first {
            guard byte == UInt8(ascii: "\n") else {
                bytes.append(byte)
                continue
            }
            let line = String(decoding: bytes, as: UTF8.self)
            if line.contains(text) { return line }
            bytes = []
        }
        return nil
    }

    /// Sends SIGTERM.
    func terminate() {
        process.terminate()
    }

    /// Sends SIGKILL and waits for the end.
    func killHard() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Sends SIGINT, as Ctrl-C does.
    func interrupt() {
        process.interrupt()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
}
