internal import Blocks
internal import Foundation
internal import Placement

/// A member as etcd keeps it: a JSON object of version 1, whose unknown names are skipped, so that a later node can say
/// more about itself to those that understand it.
struct MemberRecord: Codable, Sendable {
    private let version: Int
    private let name: String
    private let host: String
    private let port: UInt16
    private let controlPort: UInt16?
    private let weight: UInt32
    private let state: String
    /// As text: programs that read JSON's numbers as floating point would change it.
    private let run: String
    private let memoryByteCount: UInt64?
    private let diskByteCount: UInt64?

    private static let versionKnown = 1
    /// Longest record, bytes.
    static let byteCountMax = 4_096
    /// Longest host, bytes: that of a domain name.
    static let hostByteCountMax = 253

    /// The bytes for a member.
    static func bytes(of member: Member) throws(CacheError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(MemberRecord(member)), member.isAddressable,
            data.count <= byteCountMax
        else {
            throw CacheError(
                .invalidArgument,
                "a member needs a port and a host of at most \(hostByteCountMax) visible ASCII characters"
            )
        }
        return Array(data)
    }

    /// The member that bytes describe; `nil` unless they are a record of `name`.
    static func member(_ name: NodeName, in bytes: [UInt8]) -> Member? {
        guard bytes.count <= byteCountMax,
            let record = try? JSONDecoder().decode(MemberRecord.self, from: Data(bytes)),
            record.version == versionKnown, record.name == name.description,
            (1...Member.weightMax).contains(record.weight), let state = Member.State(rawValue: record.state),
            let run = UInt64(record.run)
        else { return nil }
        let member = Member(
            name: name,
            host: record.host,
            port: record.port,
            controlPort: record.controlPort ?? 0,
            weight: record.weight,
            state: state,
            run: run,
            memoryByteCount: record.memoryByteCount ?? 0,
            diskByteCount: record.diskByteCount ?? 0
        )
        return member.isAddressable ? member : nil
    }

    private init(_ member: Member) {
        version = Self.versionKnown
        name = member.name.description
        host = member.host
        port = member.port
        controlPort = member.controlPort
        weight = member.weight
        state = member.state.rawValue
        run = String(member.run)
        memoryByteCount = member.memoryByteCount
        diskByteCount = member.diskByteCount
    }
}

extension Member {
    /// Whether the address can be one.
    fileprivate var isAddressable: Bool {
        port > 0 && (1...MemberRecord.hostByteCountMax).contains(host.utf8.count)
            && host.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    /// Whether another record is of a node at the same address.
    func isAt(addressOf other: Member) -> Bool { host == other.host && port == other.port }
}
