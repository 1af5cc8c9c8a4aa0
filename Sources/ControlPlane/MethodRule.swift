internal import GRPCCore

/// What is known of a method before it is called.
struct MethodRule: Sendable {
    /// What the caller needs; `nil` is nothing, not even to be known.
    let permission: Permission?
    /// How long a call may take; `nil` is without end.
    let timeout: Duration?

    /// The rule of a method.
    init(_ method: MethodDescriptor, _ limits: ControlLimits) {
        guard method.service.fullyQualifiedService != "grpc.health.v1.Health" else {
            permission = nil
            timeout = method.method == "Watch" ? nil : limits.unaryTimeout
            return
        }
        permission =
            switch method.method {
            case "Pin", "Unpin", "Evict", "Put": .write
            case "Clear", "Drain": .admin
            default: .read
            }
        timeout =
            switch method.method {
            case "Put", "Get": limits.transferTimeout
            case "Warm": limits.warmTimeout
            case "Drain": limits.drainTimeout
            case "Subscribe": nil
            default: limits.unaryTimeout
            }
    }
}
