/// What must be equal for two KV blocks to be interchangeable: a JSON object, whose canonical form's SHA-256 names the
/// namespace.
///
/// Every name is part of the identity, known or not. These have a meaning and a kind that is checked:
///
/// | name | kind | meaning |
/// |---|---|---|
/// | `model` | string | the model's name |
/// | `revision` | string | its revision or weights' digest |
/// | `dtype` | string | the element type's name; the disk tier chooses its codec by it |
/// | `tokens_per_block` | integer, from 1 | tokens of each block |
/// | `layout` | string | the order of a payload's axes |
/// | `tensor_parallel_size`, `tensor_parallel_rank` | integer, from 1, from 0 | which share of the heads |
/// | `pipeline_parallel_size`, `pipeline_parallel_rank` | integer, from 1, from 0 | which share of the layers |
/// | `adapter` | string | the digest of a LoRA adapter, when it is not part of the keys |
/// | `cache_salt` | string | keeps equal prompts apart, when it is not part of the keys |
/// | `engine` | string | who wrote the blocks |
///
/// ```swift
/// let described = try NamespaceDescription(json: Array(#"{"dtype":"bfloat16","model":"m"}"#.utf8))
/// described.id            // the same on every node and in every client
/// described.elementType   // .bfloat16
/// ```
public struct NamespaceDescription: Sendable {
    /// The description's names and values.
    public let object: JSONObject
    /// The canonical JSON text (RFC 8785), at most `Limits.descriptionByteCountMax` bytes.
    public let canonicalBytes: [UInt8]
    /// SHA-256 of the canonical text.
    public let id: NamespaceID

    /// Reads JSON text in any spelling; throws `.invalidArgument` for what `CanonicalJSON` or a known name forbids.
    public init(json: [UInt8]) throws(CacheError) {
        guard case .object(let object) = try CanonicalJSON.parse(json) else {
            throw CacheError(.invalidArgument, "a namespace is described by a JSON object")
        }
        try self.init(object)
    }

    /// Takes names and values; throws `.invalidArgument` as reading does.
    public init(_ object: JSONObject) throws(CacheError) {
        for member in object.members { try Self.check(member) }
        self.object = object
        canonicalBytes = try CanonicalJSON.serialize(.object(object))
        id = NamespaceID(describedBy: canonicalBytes)
    }

    /// Describes the blocks of an engine of ours.
    ///
    /// - Parameters:
    ///   - model: the model's name.
    ///   - revision: its revision or its weights' digest.
    ///   - elementType: the number format of the payload.
    ///   - tokensPerBlock: tokens of each block.
    ///   - layout: the order of the payload's axes.
    ///   - others: what else sets the blocks apart: ranks, engine, adapter.
    /// - Throws: `.invalidArgument` when a name is given twice or a value is not of its name's kind.
    public init(
        model: String,
        revision: String,
        elementType: ElementType,
        tokensPerBlock: Int,
        layout: String,
        others: [JSONObject.Member] = []
    ) throws(CacheError) {
        let members = [
            JSONObject.Member(Name.model, .string(model)),
            JSONObject.Member(Name.revision, .string(revision)),
            JSONObject.Member(Name.dtype, .string(elementType.name)),
            JSONObject.Member(Name.tokensPerBlock, .integer(Int64(tokensPerBlock))),
            JSONObject.Member(Name.layout, .string(layout)),
        ]
        try self.init(JSONObject(members + others))
    }

    /// The model's name, if given.
    public var model: String? { string(Name.model) }
    /// The model's revision, if given.
    public var revision: String? { string(Name.revision) }
    /// The number format of the payloads; `.unspecified` when `dtype` is missing or not a name we know.
    public var elementType: ElementType { string(Name.dtype).map(ElementType.init(name:)) ?? .unspecified }
    /// Tokens of each block, if given.
    public var tokensPerBlock: Int? {
        guard case .integer(let count)? = object[Name.tokensPerBlock] else { return nil }
        return Int(count)
    }
    /// The order of a payload's axes, if given.
    public var layout: String? { string(Name.layout) }

    private func string(_ name: String) -> String? {
        guard case .string(let text)? = object[name] else { return nil }
        return text
    }

    private enum Name {
        static let model = "model"
        static let revision = "revision"
        static let dtype = "dtype"
        static let tokensPerBlock = "tokens_per_block"
        static let layout = "layout"
    }

    private enum Kind {
        case string
        case integer(from: Int64)
    }

    private static let kinds: [String: Kind] = [
        Name.model: .string, Name.revision: .string, Name.dtype: .string, Name.layout: .string,
        "adapter": .string, "cache_salt": .string, "engine": .string,
        Name.tokensPerBlock: .integer(from: 1),
        "tensor_parallel_size": .integer(from: 1), "tensor_parallel_rank": .integer(from: 0),
        "pipeline_parallel_size": .integer(from: 1), "pipeline_parallel_rank": .integer(from: 0),
    ]

    private static func check(_ member: JSONObject.Member) throws(CacheError) {
        switch kinds[member.name] {
        case .string:
            guard case .string = member.value else {
                throw CacheError(.invalidArgument, "a namespace's \(member.name) must be a string")
            }
        case .integer(let minimum):
            guard case .integer(minimum...) = member.value else {
                throw CacheError(
                    .invalidArgument,
                    "a namespace's \(member.name) must be an integer from \(minimum) on"
                )
            }
        case nil:
            return
        }
    }
}

extension NamespaceDescription: Hashable {
    /// Equality of what is described.
    public static func == (left: NamespaceDescription, right: NamespaceDescription) -> Bool {
        left.id == right.id
    }

    /// Hashes the namespace's name.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(id)
    }
}
