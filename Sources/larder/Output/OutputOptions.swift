internal import ArgumentParser

/// How a command prints.
struct OutputOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("table, json or jsonl.", valueName: "format"))
    var output = OutputFormat.table

    /// Prints a report on standard output.
    func print(_ report: Report) throws(CommandFailure) {
        let text = report.render(output)
        guard !text.isEmpty else { return }
        try StandardStreams.output(text)
    }
}
