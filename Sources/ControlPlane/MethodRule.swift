internal import GRPCCore

/// What is known of a method before it is called.
struct MethodRule: Sendable {
    /// What a call counts against, and needs of its caller.
    enum Need: Hashable, Sendable {
        /// A health check: of anybody, with slots of its own.
        case healthCheck
        /// A health watch: of anybody, with slots of its own.
        case healthWatch
        /// A known caller who may do this.
        case permission(Permission)
    }

    /// What the method needs.
    let need: Need
    /// How long a call may take; `nil` is without end.
    let timeout: Duration?

    /// The rule of a method.
    init(_ method: MethodDescriptor, _ limits: ControlLimits) {
        guard method.service.fullyQualifiedService != "grpc.health.v1.Health" else {
            need = method.method == "Watch" ? .healthWatch : .healthCheck
            timeout = method.method == "Watch" ? nil : limits.unaryTimeout
            return
        }
        let permission: Permission =
            switch method.method {
            case "Pin", "Unpin", "Evict", "Put": .write
            case "Clear": .admin
            case "Drain": .operator
            default: .read
            }
        need = .permission(permission)
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
