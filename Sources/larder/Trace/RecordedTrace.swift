internal import TraceReplay

/// A trace as its file has it: the chains of blocks, when each request came, and how long it was.
struct RecordedTrace: Sendable {
    /// Tokens of a whole block.
    static let tokensPerBlock = 512

    /// What is known of a request beside its blocks.
    struct Request: Hashable, Sendable {
        /// Its line in the file, from 1.
        let line: Int
        /// When it came, by the trace's own clock; `nil` when the line does not tell.
        let milliseconds: Double?
        /// Tokens of its prompt: those of its blocks, of which the last may be partly filled.
        let inputTokenCount: Int
    }

    /// The chains.
    private(set) var trace = Trace()
    /// One for each chain.
    private(set) var requests: [Request] = []

    /// No request.
    init() {}

    /// Adds a request by the names of its blocks, first block first.
    ///
    /// An `inputTokenCount` that the blocks cannot have is not believed.
    mutating func append(
        _ blocks: [UInt64],
        line: Int,
        milliseconds: Double? = nil,
        inputTokenCount: Int? = nil
    ) {
        trace.append(blocks)
        let most = blocks.count * Self.tokensPerBlock
        let tokens = inputTokenCount.map { (0...most).contains($0) ? $0 : most } ?? most
        requests.append(Request(line: line, milliseconds: milliseconds, inputTokenCount: tokens))
    }

    /// The names of a request's blocks, first block first.
    func blocks(of request: Int) -> [UInt64] {
        trace.blocks[trace.range(of: request)].map { trace.names[Int($0)] }
    }
}
