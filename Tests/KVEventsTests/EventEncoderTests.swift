import Blocks
import KVEvents
import Testing

/// The bytes that msgspec writes for the same events: maps by vLLM 0.33's own classes, arrays by classes with the fields
/// that are told here.
@Suite("Batches are what vLLM's encoder writes")
struct EventEncoderTests {
    private static let golden: [(dialect: EventDialect, hashForm: HashForm, hexadecimal: String)] = [
        (
            .map, .bytes,
            """
            93cb3ff80000000000009581a474797065b0416c6c426c6f636b73436c6561726564de0008a47479\
            7065ab426c6f636b53746f726564ac626c6f636b5f68617368657392c42011111111111111111111\
            11111111111111111111111111111111111111111111c42022222222222222222222222222222222\
            22222222222222222222222222222222b1706172656e745f626c6f636b5f68617368c42033333333\
            33333333333333333333333333333333333333333333333333333333a9746f6b656e5f69647390aa\
            626c6f636b5f73697a65cd0100a76c6f72615f6964c0a66d656469756da3435055a96c6f72615f6e\
            616d65c0de0009a474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657391c402\
            6162b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f69647390aa626c6f636b5f73\
            697a6510a76c6f72615f6964c0a66d656469756da753544f52414745a96c6f72615f6e616d65c0a9\
            67726f75705f6964780183a474797065ac426c6f636b52656d6f766564ac626c6f636b5f68617368\
            657392c4201111111111111111111111111111111111111111111111111111111111111111c42022\
            22222222222222222222222222222222222222222222222222222222222222a66d656469756da343\
            505584a474797065ac426c6f636b52656d6f766564ac626c6f636b5f68617368657391c420333333\
            3333333333333333333333333333333333333333333333333333333333a66d656469756da753544f\
            52414745a967726f75705f696478cd012c00
            """
        ),
        (
            .map, .int64,
            """
            93cb3ff80000000000009581a474797065b0416c6c426c6f636b73436c6561726564de0008a47479\
            7065ab426c6f636b53746f726564ac626c6f636b5f68617368657392cf1111111111111111cf2222\
            222222222222b1706172656e745f626c6f636b5f68617368cf3333333333333333a9746f6b656e5f\
            69647390aa626c6f636b5f73697a65cd0100a76c6f72615f6964c0a66d656469756da3435055a96c\
            6f72615f6e616d65c0de0009a474797065ab426c6f636b53746f726564ac626c6f636b5f68617368\
            657391cd6162b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f69647390aa626c6f\
            636b5f73697a6510a76c6f72615f6964c0a66d656469756da753544f52414745a96c6f72615f6e61\
            6d65c0a967726f75705f6964780183a474797065ac426c6f636b52656d6f766564ac626c6f636b5f\
            68617368657392cf1111111111111111cf2222222222222222a66d656469756da343505584a47479\
            7065ac426c6f636b52656d6f766564ac626c6f636b5f68617368657391cf3333333333333333a66d\
            656469756da753544f52414745a967726f75705f696478cd012c00
            """
        ),
        (
            .array, .bytes,
            """
            93cb3ff80000000000009591b0416c6c426c6f636b73436c656172656498ab426c6f636b53746f72\
            656492c4201111111111111111111111111111111111111111111111111111111111111111c42022\
            22222222222222222222222222222222222222222222222222222222222222c42033333333333333\
            3333333333333333333333333333333333333333333333333390cd0100c0a3435055c09aab426c6f\
            636b53746f72656491c4026162c09010c0a753544f52414745c0c00193ac426c6f636b52656d6f76\
            656492c4201111111111111111111111111111111111111111111111111111111111111111c42022\
            22222222222222222222222222222222222222222222222222222222222222a343505594ac426c6f\
            636b52656d6f76656491c42033333333333333333333333333333333333333333333333333333333\
            33333333a753544f52414745cd012c00
            """
        ),
        (
            .array, .int64,
            """
            93cb3ff80000000000009591b0416c6c426c6f636b73436c656172656498ab426c6f636b53746f72\
            656492cf1111111111111111cf2222222222222222cf333333333333333390cd0100c0a3435055c0\
            9aab426c6f636b53746f72656491cd6162c09010c0a753544f52414745c0c00193ac426c6f636b52\
            656d6f76656492cf1111111111111111cf2222222222222222a343505594ac426c6f636b52656d6f\
            76656491cf3333333333333333a753544f52414745cd012c00
            """
        ),
    ]

    private static let events: [KVEvent] = {
        let hashes = [0x11, 0x22, 0x33].map { EventHash([UInt8](repeating: $0, count: 32)) }
        return [
            .allCleared,
            .stored(
                .init(
                    hashes: [hashes[0], hashes[1]],
                    parent: hashes[2],
                    tokenCount: 256,
                    medium: .memory,
                    group: nil
                )
            ),
            .stored(
                .init(
                    hashes: [EventHash(Array("ab".utf8))],
                    parent: nil,
                    tokenCount: 16,
                    medium: .disk,
                    group: 1
                )
            ),
            .removed(.init(hashes: [hashes[0], hashes[1]], medium: .memory, group: nil)),
            .removed(.init(hashes: [hashes[2]], medium: .disk, group: 300)),
        ]
    }()

    @Test("in both dialects and both forms of hashes", arguments: golden.indices)
    func goldenBytes(index: Int) {
        let (dialect, hashForm, hexadecimal) = Self.golden[index]
        let encoder = EventEncoder(dialect: dialect, hashForm: hashForm)
        #expect(Hexadecimal.text(of: encoder.encode(Self.events, seconds: 1.5)) == hexadecimal)
    }

    @Test("lengths and numbers take their shortest form")
    func lengths() {
        var writer = MessagePackWriter()
        for value: UInt64 in [0, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, .max] {
            writer.append(unsigned: value)
        }
        #expect(
            Hexadecimal.text(of: writer.bytes)
                == "007fcc80ccffcd0100cdffffce00010000ceffffffffcf0000000100000000cfffffffffffffffff"
        )
        #expect(head { $0.append(text: String(repeating: "x", count: 31)) } == "bf")
        #expect(head { $0.append(text: String(repeating: "x", count: 32)) } == "d920")
        #expect(head { $0.append(text: String(repeating: "x", count: 256)) } == "da0100")
        #expect(head { $0.append(text: String(repeating: "x", count: 65_536)) } == "db00010000")
        #expect(head { $0.append(bytes: [UInt8](repeating: 0x78, count: 255)) } == "c4ff")
        #expect(head { $0.append(bytes: [UInt8](repeating: 0x78, count: 256)) } == "c50100")
        #expect(head { $0.append(bytes: [UInt8](repeating: 0x78, count: 65_536)) } == "c600010000")
        #expect(head { $0.beginArray(count: 15) } == "9f")
        #expect(head { $0.beginArray(count: 16) } == "dc0010")
        #expect(head { $0.beginArray(count: 65_536) } == "dd00010000")
        #expect(head { $0.beginMap(count: 15) } == "8f")
        #expect(head { $0.beginMap(count: 16) } == "de0010")
    }

    /// What comes before the first "x".
    private func head(_ write: (inout MessagePackWriter) -> Void) -> String {
        var writer = MessagePackWriter()
        write(&writer)
        return Hexadecimal.text(of: Array(writer.bytes.prefix { $0 != UInt8(ascii: "x") }))
    }
}

@Suite("Keys tell hash and group")
struct EventBlockTests {
    @Test("32 bytes, 36 bytes, 64 digits, and anything else")
    func keys() {
        let digest = (0..<32).map { UInt8($0) }
        let plain = EventBlock(key: digest)
        #expect(plain == EventBlock(hash: EventHash(digest), group: nil))
        #expect(plain.hash.bytes == digest)
        #expect(plain.hash.low64 == 0x1819_1A1B_1C1D_1E1F)
        #expect(EventBlock(key: digest + [0, 0, 1, 2]) == EventBlock(hash: EventHash(digest), group: 258))
        let digits = Array(Hexadecimal.text(of: digest).uppercased().utf8)
        #expect(EventBlock(key: digits) == plain)
        let noDigits = [UInt8](repeating: UInt8(ascii: "z"), count: 64)
        #expect(EventBlock(key: noDigits) == EventBlock(hash: .other(noDigits), group: nil))
        #expect(EventBlock(key: Array("ab".utf8)).hash.low64 == 0x6162)
        #expect(EventBlock(key: Array("123456789".utf8)).hash.low64 == 0x3233_3435_3637_3839)
    }
}
