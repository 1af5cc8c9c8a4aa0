internal import ArgumentParser

/// `larder version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the version."
    )

    func run() {
        print("larder \(Version.text)")
    }
}
