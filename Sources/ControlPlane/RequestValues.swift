internal import Blocks
internal import ControlAPI
internal import GRPCCore

/// Reads what requests have in common, and says what is wrong with it.
struct RequestValues: Sendable {
    let backend: any ControlBackend
    let limits: ControlLimits

    /// The space of a namespace's identifier.
    func space(_ text: String, of call: ControlCall) throws(ControlError) -> SpaceName {
        guard let namespace = NamespaceID(hexadecimal: Array(text.utf8)) else {
            throw ControlError(
                .invalidArgument,
                "namespace_id is the 64 hexadecimal digits that DescribeNamespace returned"
            )
        }
        return SpaceName(tenant: call.caller.tenant, namespace: namespace)
    }

    /// A single key.
    func key(_ bytes: some Collection<UInt8>) throws(ControlError) -> [UInt8] {
        guard (1...Limits.keyByteCountMax).contains(bytes.count) else {
            throw ControlError(
                .invalidArgument,
                "a key has 1 to \(Limits.keyByteCountMax) bytes, not \(bytes.count)"
            )
        }
        return Array(bytes)
    }

    /// At least one key.
    func keys(_ keys: Larder_V1_Keys) throws(ControlError) -> KeyBatch {
        guard (1...limits.keyCountMax).contains(keys.key.count) else {
            throw ControlError(
                .invalidArgument,
                "a call takes 1 to \(limits.keyCountMax) keys, not \(keys.key.count)"
            )
        }
        var batch = KeyBatch(
            keyCapacity: keys.key.count,
            byteCapacity: keys.key.reduce(0) { $0 + $1.count }
        )
        for data in keys.key {
            let bytes = try key(data)
            // Bytes are bytes: the view is only called unsafe for element types with invalid patterns.
            unsafe batch.append(bytes.span.bytes)
        }
        return batch
    }

    /// The keys of a prompt's full blocks, and the tokens of each; none when the prompt is shorter than a block.
    func keys(_ tokens: Larder_V1_Tokens, in space: SpaceName) async throws(ControlError) -> (
        keys: KeyBatch, tokensPerBlock: Int
    ) {
        guard tokens.token.count <= limits.tokenCountMax else {
            throw ControlError(
                .invalidArgument,
                "a call takes \(limits.tokenCountMax) tokens, not \(tokens.token.count)"
            )
        }
        var tokensPerBlock = Int(tokens.tokensPerBlock)
        if tokensPerBlock == 0 {
            guard let described = try await backend.description(of: space).tokensPerBlock else {
                throw ControlError(
                    .invalidArgument,
                    "give tokens_per_block: the namespace's description does not say it"
                )
            }
            tokensPerBlock = described
        }
        do throws(CacheError) {
            var hasher = try ChainedBlockHasher(
                tokensPerBlock: tokensPerBlock,
                start: tokens.hashSeed.isEmpty ? .noneHash : .noneHash(seed: tokens.hashSeed),
                context: tokens.context
            )
            guard tokens.token.count / tokensPerBlock <= limits.keyCountMax else {
                throw CacheError(
                    .invalidArgument,
                    "a call takes \(limits.keyCountMax) blocks: give fewer tokens"
                )
            }
            let digests = hasher.append(tokens.token)
            guard tokens.keyForm == .vllmOffload else { return (KeyBatch(digests), tokensPerBlock) }
            return (KeyBatch(digests.map { $0.offloadKey(group: tokens.group) }), tokensPerBlock)
        } catch {
            throw ControlError(error)
        }
    }
}

extension Larder_V1_Tokens {
    /// What beside the tokens is part of the names.
    fileprivate var context: PromptContext {
        PromptContext(
            adapter: hasAdapter ? PromptContext.Adapter(name: adapter.name, path: adapter.path) : nil,
            mediaItems: mediaItem.map { item in
                let first = Int(item.firstToken)
                return PromptContext.MediaItem(
                    identifier: item.identifier,
                    tokens: first..<(first + Int(item.tokenCount))
                )
            },
            cacheSalt: cacheSalt
        )
    }
}
