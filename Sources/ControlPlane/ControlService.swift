internal import Blocks
internal import ControlAPI
internal import GRPCCore
internal import SwiftProtobuf

/// larder.v1.Control: checks requests, asks the backend, and writes its answers as messages.
struct ControlService: Larder_V1_Control.SimpleServiceProtocol {
    let backend: any ControlBackend
    let values: RequestValues

    /// Keys that Warm loads between two of its messages.
    private static let warmStepKeyCount = 64

    func match(request: Larder_V1_MatchRequest, context: ServerContext) async throws
        -> Larder_V1_MatchResponse
    {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            var keys = KeyBatch()
            var tokensPerBlock = 0
            switch request.prompt {
            case .keys(let given): keys = try values.keys(given)
            case .tokens(let tokens): (keys, tokensPerBlock) = try await values.keys(tokens, in: space)
            case nil: throw Self.noPrompt
            }
            if tokensPerBlock == 0 {
                tokensPerBlock = try await backend.description(of: space).tokensPerBlock ?? 0
            }
            let nodes = try await backend.match(space, keys: keys).sorted {
                ($1.blockCount, $0.loadMilliseconds, $0.nodeName)
                    < ($0.blockCount, $1.loadMilliseconds, $1.nodeName)
            }
            return .with { response in
                response.queriedBlocks = UInt32(clamping: keys.count)
                response.node = nodes.map(Larder_V1_NodeMatch.init)
                guard let best = nodes.first else { return }
                response.matchedBlocks = UInt32(clamping: best.blockCount)
                response.matchedTokens = UInt64(
                    clamping: best.tokenCount + best.uncountedBlockCount * tokensPerBlock
                )
            }
        }
    }

    func explain(
        request: Larder_V1_ExplainRequest,
        context: ServerContext
    ) async throws -> Larder_V1_ExplainResponse {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            let explanations = try await backend.explain(space, keys: values.keys(request.keys))
            return .with { $0.explanation = explanations.map(Larder_V1_Explanation.init) }
        }
    }

    func pin(request: Larder_V1_PinRequest, context: ServerContext) async throws -> Larder_V1_PinResponse {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            let pinned = try await backend.pin(
                space,
                keys: values.keys(request.keys),
                lasting: request.milliseconds == 0
                    ? nil : .milliseconds(Int64(clamping: min(request.milliseconds, Self.millisecondsMax)))
            )
            return .with { $0.pinned = pinned }
        }
    }

    func unpin(request: Larder_V1_UnpinRequest, context: ServerContext) async throws
        -> Larder_V1_UnpinResponse
    {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            let held = try await backend.unpin(space, keys: values.keys(request.keys))
            return .with { $0.held = held }
        }
    }

    func prefetch(
        request: Larder_V1_PrefetchRequest,
        context: ServerContext
    ) async throws -> Larder_V1_PrefetchResponse {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            let started = try await backend.prefetch(space, keys: values.keys(request.keys))
            return .with { $0.started = UInt32(clamping: started) }
        }
    }

    func warm(
        request: Larder_V1_WarmRequest,
        response: RPCWriter<Larder_V1_WarmProgress>,
        context: ServerContext
    ) async throws {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            let keys: KeyBatch
            switch request.prompt {
            case .keys(let given): keys = try values.keys(given)
            case .tokens(let tokens): keys = try await values.keys(tokens, in: space).keys
            case nil: throw Self.noPrompt
            }
            var progress = Larder_V1_WarmProgress.with { $0.blocks = UInt32(clamping: keys.count) }
            var first = 0
            repeat {
                let end = min(first + Self.warmStepKeyCount, keys.count)
                for byteCount in try await backend.warm(space, keys: keys.part(first..<end)) {
                    progress.done += 1
                    if let byteCount {
                        progress.inMemory += 1
                        progress.bytes += UInt64(clamping: byteCount)
                    } else {
                        progress.missing += 1
                    }
                }
                first = end
                let message = progress
                try await call.waitingForClient { try await response.write(message) }
            } while first < keys.count
        }
    }

    func evict(request: Larder_V1_EvictRequest, context: ServerContext) async throws
        -> Larder_V1_EvictResponse
    {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            let deleted = try await backend.delete(space, keys: values.keys(request.keys))
            return .with { $0.deleted = UInt32(clamping: deleted) }
        }
    }

    func clear(request: Larder_V1_ClearRequest, context: ServerContext) async throws
        -> Larder_V1_ClearResponse
    {
        try await ControlCall.run(context) { call in
            let space = try values.space(request.namespaceID, of: call)
            guard request.confirm == request.namespaceID else {
                throw ControlError(
                    .failedPrecondition,
                    "to delete all blocks of a namespace, give its identifier in confirm as well"
                )
            }
            let deleted = try await backend.clear(space)
            return .with { $0.deleted = UInt64(clamping: deleted) }
        }
    }

    private static let noPrompt = ControlError(.invalidArgument, "give keys or tokens")
    /// A century: no sum with the time overflows.
    private static let millisecondsMax: UInt64 = 100 * 366 * 86_400_000
}

extension KeyBatch {
    /// Some of the keys; the range lies inside.
    fileprivate func part(_ range: Range<Int>) -> KeyBatch {
        var part = KeyBatch(keyCapacity: range.count, byteCapacity: 0)
        for index in range { part.append(self[index]) }
        return part
    }
}
