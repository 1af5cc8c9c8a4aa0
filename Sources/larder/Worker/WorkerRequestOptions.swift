internal import ArgumentParser
internal import Engine
internal import Foundation
internal import LarderClient

/// What is asked of the engine, and what of the node.
struct WorkerRequestOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The prompts; see above. - is standard input.", valueName: "file"))
    var promptFile: String

    @Option(help: ArgumentHelp("Most tokens to generate for each prompt.", valueName: "count"))
    var maxNewTokens = 16

    @Flag(help: "Compute and store the prompts, generate nothing.")
    var prefillOnly = false

    @Option(help: ArgumentHelp("0: always the likeliest token; higher: more daring.", valueName: "number"))
    var temperature = 0.0

    @Option(help: ArgumentHelp("Choose among the likeliest tokens that have this probability together.", valueName: "0...1"))
    var topP = 1.0

    @Option(help: ArgumentHelp("Seed of the choices.", valueName: "number"))
    var samplingSeed: UInt64 = 0

    @Option(help: ArgumentHelp("Share blocks only with requests of the same salt.", valueName: "text"))
    var cacheSalt = ""

    @Flag(help: "Take nothing from the node.")
    var noReuse = false

    @Flag(help: "Give nothing to the node.")
    var noStore = false

    @Option(help: ArgumentHelp("Longest wait for a look-up; later is a miss.", valueName: "time"))
    var matchDeadline = TimeSpan(milliseconds: 50)

    @Option(help: ArgumentHelp("Longest wait for each 16 MiB of blocks; later is a miss.", valueName: "time"))
    var loadDeadline = TimeSpan(milliseconds: 500)

    mutating func validate() throws {
        guard maxNewTokens >= 0 else { throw ValidationError("--max-new-tokens is not negative") }
        guard temperature >= 0, temperature.isFinite else { throw ValidationError("--temperature is not negative") }
        guard (0...1).contains(topP) else { throw ValidationError("--top-p is 0 to 1") }
    }

    /// The same for the engine.
    var requestOptions: RequestOptions {
        var options = RequestOptions()
        options.newTokenCountMax = prefillOnly ? 0 : maxNewTokens
        options.sampling.temperature = temperature
        options.sampling.topProbability = topP
        options.sampling.seed = samplingSeed
        options.reuses = !noReuse
        options.stores = !noStore
        options.cacheSalt = cacheSalt
        return options
    }

    /// The way to the node; none is needed when nothing is taken and nothing given.
    func makeExchange(
        _ node: NodeOptions,
        engine: Engine,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws -> WorkerExchange {
        guard !(noReuse && noStore) else { return WorkerExchange() }
        var configuration = LarderClientConfiguration(
            endpoint: try node.endpoint(environment),
            credentials: try node.credentials(environment)
        )
        configuration.lookupTimeout = matchDeadline.duration
        configuration.loadTimeout = loadDeadline.duration
        configuration.storeTimeout = node.timeout.duration
        return try await WorkerExchange(configuration, engine.namespaceDescription())
    }
}
