/// Who is asking.
///
/// Always taken from the authenticated connection, never from a request's fields.
public struct Tenant: Hashable, Sendable, CustomStringConvertible {
    /// The tenant's name: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    public let name: String

    /// The one tenant of a node that has no credentials configured.
    public static let `default` = Tenant(validated: "default")

    /// Creates a tenant, or throws `.invalidArgument` for a name outside the alphabet or length.
    public init(_ name: String) throws(CacheError) {
        let isAllowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
        guard isAllowed, !name.isEmpty, name.utf8.count <= Limits.tenantNameByteCountMax else {
            throw CacheError(
                .invalidArgument,
                "a tenant name is 1 to \(Limits.tenantNameByteCountMax) of a-z A-Z 0-9 . _ -"
            )
        }
        self.name = name
    }

    private init(validated name: String) {
        self.name = name
    }

    /// The name.
    public var description: String { name }
}
