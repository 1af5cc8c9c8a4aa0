extension NodeLink {
    /// The call's result, or `miss` when it failed.
    func orMiss<Value>(
        _ miss: Value,
        _ body: (NodeLink) async throws(LarderClientError) -> Value
    ) async -> Value {
        await orElse(body) { _ in miss }
    }

    /// The call's result, or what `failed` makes of its error.
    func orElse<Value>(
        _ body: (NodeLink) async throws(LarderClientError) -> Value,
        failed: (LarderClientError) -> Value
    ) async -> Value {
        do throws(LarderClientError) {
            return try await body(self)
        } catch {
            count(error)
            return failed(error)
        }
    }
}
