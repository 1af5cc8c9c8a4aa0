import ArgumentParser
import Foundation
import Testing

@testable import larder

@Suite("help")
struct HelpTests {
    private static let commands: [any ParsableCommand.Type] = {
        func all(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
            [command] + command.configuration.subcommands.flatMap(all)
        }
        return Larder.configuration.subcommands.flatMap(all)
    }()

    @Test("every command has an abstract, and all but the plainest an example", arguments: commands.indices)
    func taught(index: Int) {
        let command = Self.commands[index]
        let configuration = command.configuration
        let name = configuration.commandName ?? ""
        #expect(configuration.abstract.hasSuffix("."), "\(name)")
        let plain = ["version", "user"]
        let example = configuration.discussion.range(of: "larder [a-z ]*\(name)", options: .regularExpression)
        #expect(plain.contains(name) || example != nil, "\(name)")
    }

    @Test("every option says what it does")
    func optionsAreTaught() {
        for command in Self.commands {
            let lines = Larder.helpMessage(for: command, columns: 200).split(separator: "\n")
            for line in lines where line.hasPrefix("  --") || line.hasPrefix("  -o") {
                let words = line.split(separator: " ", omittingEmptySubsequences: true)
                #expect(words.count > 2 || line.count > 24, "\(command): \(line)")
            }
        }
    }

    @Test("the commands that the program promises are there")
    func commandsAreThere() {
        let names = Set(Larder.configuration.subcommands.compactMap { $0.configuration.commandName })
        let promised = [
            "serve", "worker", "match", "get", "put", "delete", "pin", "unpin", "warm", "stats", "top",
            "explain",
            "doctor", "bench",
            "completions", "version", "user", "memory",
        ]
        #expect(names.isSuperset(of: promised))
    }

    @Test("the program's help lists every exit status")
    func exitStatuses() {
        let help = Larder.helpMessage(columns: 160)
        for status in ExitStatus.allCases { #expect(help.contains("  \(status.rawValue) ")) }
    }

    @Test("there is a completion script for each shell", arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) throws {
        let shell = try #require(CompletionShell(rawValue: shell))
        #expect(Larder.completionScript(for: shell).contains("drain-timeout"))
    }
}
