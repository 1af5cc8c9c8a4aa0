/// The bounds of the data model; what a node may further restrict is in its configuration.
public enum Limits {
    /// Longest block key, bytes.
    public static let keyByteCountMax = 512
    /// Largest block payload, bytes (512 MiB, as Redis's proto-max-bulk-len).
    public static let payloadByteCountMax = 512 << 20
    /// Longest canonical namespace description, bytes.
    public static let descriptionByteCountMax = 16 << 10
    /// Deepest nesting of a namespace description, arrays and objects.
    public static let descriptionDepthMax = 16
    /// Most tokens in one block of a hash chain.
    public static let tokensPerBlockMax = 65_536
    /// Most keys in one batch.
    public static let batchKeyCountMax = 16_384
    /// Most blocks with payload in one batch.
    public static let batchBlockCountMax = 1_024
    /// Longest tenant name, bytes.
    public static let tenantNameByteCountMax = 64
    /// Longest lease, milliseconds (10 minutes).
    public static let leaseMillisecondsMax = 600_000
}
