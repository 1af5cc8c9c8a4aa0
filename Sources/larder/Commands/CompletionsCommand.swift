internal import ArgumentParser

/// `larder completions SHELL`.
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print a completion script for a shell.",
        discussion: """
            Put the script where your shell looks for completions:

              larder completions bash > ~/.local/share/bash-completion/completions/larder
              larder completions zsh  > "${fpath[1]}/_larder"
              larder completions fish > ~/.config/fish/completions/larder.fish
            """
    )

    @Argument(help: "bash, zsh or fish.")
    var shell: String

    func run() throws {
        guard let shell = CompletionShell(rawValue: shell) else {
            throw ValidationError("'\(shell)' is not a shell with completions; use bash, zsh or fish.")
        }
        print(Larder.completionScript(for: shell))
    }
}
