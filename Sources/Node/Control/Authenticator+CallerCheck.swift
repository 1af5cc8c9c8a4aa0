internal import ControlPlane

extension Authenticator: CallerCheck {
    func knownCaller(name: String, password: String) -> Caller? {
        knownUser(name, password).map(Caller.init)
    }

    func party(of peer: String) -> String { AddressFailures.key(peer) }

    func check(
        name: String,
        password: String,
        peer: String,
        hasFailed: Bool,
        _ completion: @escaping @Sendable (CallerVerdict) -> Void
    ) {
        check(name, password, from: Sender(address: peer, hasFailed: hasFailed)) { outcome in
            switch outcome {
            case .accepted(let user): completion(.accepted(Caller(user)))
            case .refused(let delayFactor): completion(.refused(delayFactor: delayFactor))
            case .overloaded: completion(.overloaded)
            }
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
            case .operator: .operator
            }
    }
}
