/// How a request is answered.
package struct RequestOptions: Sendable {
    /// Most tokens to generate; 0: compute the prompt only.
    package var newTokenCountMax = 16
    /// How tokens are chosen.
    package var sampling = Sampler.Options()
    /// Whether leading blocks are taken from the cache.
    package var reuses = true
    /// Whether new blocks are given to the cache.
    package var stores = true
    /// Keeps the request's blocks apart from those of another salt; empty: none.
    package var cacheSalt = ""

    package init() {}
}
