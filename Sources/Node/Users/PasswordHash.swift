internal import Blocks
internal import Crypto
internal import CryptoExtras
internal import Foundation

/// A password as the users file keeps it: `scrypt$LOG2N$R$P$SALT$HASH`, salt and hash in unpadded URL-safe base64.
struct PasswordHash: Sendable, Hashable {
    private let log2Rounds: Int
    private let blockSize: Int
    private let parallelism: Int
    private let salt: [UInt8]
    private let hash: [UInt8]

    /// Rounds of new hashes, as a power of two: with 8 blocks, 16 MiB and a few hundredths of a second each.
    static let log2RoundsDefault = 14
    private static let hashByteCount = 32

    /// Hashes a password with a fresh salt.
    init(password: String, log2Rounds: Int = log2RoundsDefault) throws(CacheError) {
        var generator = SystemRandomNumberGenerator()
        self.log2Rounds = log2Rounds
        blockSize = 8
        parallelism = 1
        salt = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        hash = try Self.derive(
            password,
            salt,
            log2Rounds: log2Rounds,
            blockSize: blockSize,
            parallelism: parallelism
        )
    }

    /// Reads the text of a hash; `nil` when it is none, or asks for more than 256 MiB or four times our rounds.
    init?(parsing text: Substring) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "scrypt",
            let log2Rounds = Int(parts[1]), (10...18).contains(log2Rounds),
            let blockSize = Int(parts[2]), (1...8).contains(blockSize),
            let parallelism = Int(parts[3]), (1...4).contains(parallelism),
            let salt = Self.bytes(parts[4]), (8...64).contains(salt.count),
            let hash = Self.bytes(parts[5]), hash.count == Self.hashByteCount
        else { return nil }
        self.log2Rounds = log2Rounds
        self.blockSize = blockSize
        self.parallelism = parallelism
        self.salt = salt
        self.hash = hash
    }

    /// The text for the users file.
    var text: String {
        "scrypt$\(log2Rounds)$\(blockSize)$\(parallelism)$\(Self.text(salt))$\(Self.text(hash))"
    }

    /// What a check costs, in units of memory and time that scrypt's parameters multiply to.
    var cost: Int { (1 << log2Rounds) * blockSize * parallelism }

    /// Whether `password` is the one; takes as long as hashing, so never on an event loop.
    func verify(_ password: String) -> Bool {
        let derived = try? Self.derive(
            password,
            salt,
            log2Rounds: log2Rounds,
            blockSize: blockSize,
            parallelism: parallelism
        )
        return derived.map { ConstantTime.areEqual($0, hash) } ?? false
    }

    private static func derive(
        _ password: String,
        _ salt: [UInt8],
        log2Rounds: Int,
        blockSize: Int,
        parallelism: Int
    ) throws(CacheError) -> [UInt8] {
        do {
            let key = try KDF.Scrypt.deriveKey(
                from: Array(password.utf8),
                salt: salt,
                outputByteCount: hashByteCount,
                rounds: 1 << log2Rounds,
                blockSize: blockSize,
                parallelism: parallelism,
                maxMemory: 512 << 20
            )
            return unsafe key.withUnsafeBytes { unsafe Array($0) }
        } catch {
            throw CacheError(.invalidArgument, "scrypt refused the password's parameters")
        }
    }

    private static func text(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        let padded =
            text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
            + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return Data(base64Encoded: padded).map(Array.init)
    }
}

/// Comparison in a time that does not tell where two secrets differ.
enum ConstantTime {
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}
