internal import ControlPlane

extension Authenticator: CallerCheck {
    func check(name: String, password: String) async -> CallerVerdict {
        let outcome = await withCheckedContinuation { continuation in
            check(name, password) { continuation.resume(returning: $0) }
        }
        switch outcome {
        case .accepted(let user): return .accepted(Caller(user))
        case .refused: return .refused
        case .overloaded: return .overloaded
        }
    }
}

extension Caller {
    fileprivate init(_ user: User) {
        self.init(
            tenant: user.tenant,
            permissions: Set(Permission.allCases.filter { user.may(Scope($0)) })
        )
    }
}

extension Scope {
    fileprivate init(_ permission: Permission) {
        self =
            switch permission {
            case .read: .read
            case .write: .write
            case .admin: .admin
            }
    }
}
