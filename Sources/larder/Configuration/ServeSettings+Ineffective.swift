extension ServeSettings {
    /// Settings that somebody gave and that change nothing, each with the setting that it needs.
    var ineffective: [(given: SettingOrigin, needed: String)] {
        var found: [(given: SettingOrigin, needed: String)] = []
        func check(_ dependents: [ServeSetting], _ needed: String, isMet: Bool) {
            guard !isMet else { return }
            for setting in dependents where self[setting].origin != .builtIn && !isOff(setting) {
                found.append((self[setting].origin, needed))
            }
        }
        let cluster = self[.cluster].text ?? ""
        check([.controlHost], "--control-port", isMet: self[.controlPort].text != nil)
        check(
            [.controlTLSCertificate, .controlTLSKey, .controlTLSClientCA],
            "--control-port",
            isMet: self[.controlPort].text != nil
        )
        check(
            [
                .nodeName, .advertise, .memberTTL, .clusterSecret, .weight, .replicas, .peerLookupTimeout,
                .peerLoadTimeout, .joinTimeout,
            ],
            "--cluster",
            isMet: !cluster.isEmpty
        )
        check(
            [.etcdPasswordFile, .etcdCA, .etcdCert, .etcdKey],
            "--cluster etcd://... or etcds://...",
            isMet: cluster.hasPrefix("etcd")
        )
        check(
            [.eventsHost, .eventsDialect, .eventsHashes, .eventsPod],
            "--events-port",
            isMet: self[.eventsPort].text != nil
        )
        check([.sharedWrites], "--unix", isMet: self[.unix].text != nil)
        check([.disk], "--data-dir", isMet: self[.dataDir].text != nil)
        return found
    }

    /// Whether the value says no, which needs nothing.
    private func isOff(_ setting: ServeSetting) -> Bool {
        let text = self[setting].text
        return text == nil || text == "0" || text == "false" || text == setting.defaultText
    }
}
