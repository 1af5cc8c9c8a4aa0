/// What a measured server speaks.
enum BenchDialect: Hashable, Sendable {
    /// Redis's protocol, with or without a node's own verbs.
    case resp
    /// LMCache's protocol of fixed structs: put, get and exist of one key at a time, a put without a reply.
    case lm
}
