extension NodeLink {
    /// What an engine gets instead of an error, which is counted.
    func miss<Value>(_ value: Value, _ error: LarderClientError) -> Value {
        count(error)
        return value
    }
}
