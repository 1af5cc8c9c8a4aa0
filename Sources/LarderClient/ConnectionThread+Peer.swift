internal import Blocks
internal import RESP

/// The mutual proof between two nodes of a cluster, before anything else is said on a connection.
///
/// `KV.PEER HELLO own-name peer-name nonce` is answered `[nonce, proof]`; a caller that has checked the proof sends
/// `KV.PEER PROOF proof`, and is believed when that is answered `OK`.
extension ConnectionThread {
    /// Begins the proof.
    func greetPeer(_ greeting: PeerGreeting) {
        let nonce = ClusterSecret.nonce()
        isProving = true
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 5)
        for argument in ["KV.PEER", "HELLO", greeting.ownName, greeting.peerName] { encoder.append(argument) }
        encoder.append(nonce)
        ask(encoder.finish()) { [self] reply in answered(reply, greeting, nonce) }
    }

    private func answered(_ reply: Reply?, _ greeting: PeerGreeting, _ nonce: [UInt8]) {
        if case .failure(let failure)? = reply {
            handshakeFailure = LarderClientError(.unauthorized, failure.text)
            return
        }
        guard let parts = reply?.elements, parts.count == 2, case .bulk(let peerNonce) = parts[0],
            case .bulk(let proof) = parts[1],
            greeting.secret.isProof(
                proof,
                of: .called,
                caller: greeting.ownName,
                called: greeting.peerName,
                callerNonce: nonce,
                calledNonce: peerNonce
            )
        else {
            handshakeFailure = LarderClientError(
                .unauthorized,
                "\(greeting.peerName) does not know this cluster's secret"
            )
            return
        }
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 3)
        encoder.append("KV.PEER")
        encoder.append("PROOF")
        encoder.append(
            greeting.secret.proof(
                of: .caller,
                caller: greeting.ownName,
                called: greeting.peerName,
                callerNonce: nonce,
                calledNonce: peerNonce
            )
        )
        // Asked when the pipeline is done with this answer.
        nextGreeting = encoder.finish()
    }

    /// Sends what the last answer asks for; called between replies.
    func goOnGreeting() {
        guard let request = nextGreeting else { return }
        nextGreeting = nil
        ask(request) { [self] reply in
            if case .failure(let failure)? = reply {
                handshakeFailure = LarderClientError(.unauthorized, failure.text)
            } else if reply != nil {
                isProving = false
            }
        }
    }
}
