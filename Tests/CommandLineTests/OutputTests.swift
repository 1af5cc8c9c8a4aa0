internal import Logging
import Testing

@testable import larder

@Suite("what commands print")
struct OutputTests {
    private let report = Report(
        columns: [
            .init("key"), .init("tier"), .init("bytes", isNumeric: true), .init("hit_count", isNumeric: true),
        ],
        rows: [
            [.text("system-prompt"), .text("memory"), .bytes(2 << 20), .integer(1_234_567)],
            [.text("b"), .absent, .bytes(12), .integer(0)],
        ]
    )

    @Test("a table has titles, aligned columns and no trailing spaces")
    func table() {
        #expect(
            report.render(.table) == """
                KEY            TIER      BYTES  HIT COUNT
                system-prompt  memory  2.0 MiB  1,234,567
                b              -          12 B          0
                """
        )
    }

    @Test("JSON has exact numbers and null for what is absent")
    func json() {
        #expect(
            report.render(.json) == """
                [
                  {
                    "key": "system-prompt",
                    "tier": "memory",
                    "bytes": 2097152,
                    "hit_count": 1234567
                  },
                  {
                    "key": "b",
                    "tier": null,
                    "bytes": 12,
                    "hit_count": 0
                  }
                ]
                """
        )
    }

    @Test("JSON lines have one object a line")
    func jsonLines() {
        #expect(
            report.render(.jsonl) == """
                {"key":"system-prompt","tier":"memory","bytes":2097152,"hit_count":1234567}
                {"key":"b","tier":null,"bytes":12,"hit_count":0}
                """
        )
    }

    @Test("JSON text escapes quotes, backslashes and control characters")
    func escapes() {
        #expect(JSONText.string("a\"b\\c\n\u{1}é").compact == #""a\"b\\c\n\u0001é""#)
        #expect(
            JSONText.object(["n": .null, "l": .array([]), "d": .number(0.5)]).compact
                == #"{"n":null,"l":[],"d":0.5}"#
        )
    }

    private let line = LogLine(
        unixMilliseconds: 1_772_279_999_007,
        level: .warning,
        label: "node",
        message: "disk is\nfull",
        fields: [("free", "0"), ("message", "x"), ("path", "/a b")]
    )

    @Test("a log line for people is one line with quoted fields")
    func logText() {
        #expect(
            line.text == #"2026-02-28T11:59:59.007Z warning node: disk is full free=0 message=x path="/a b""#
        )
    }

    @Test("a log line for programs is one JSON object, and no field hides the message")
    func logJSON() {
        #expect(
            line.json
                == #"{"time":"2026-02-28T11:59:59.007Z","level":"warning","logger":"node","message":"disk is\nfull","#
                + #""free":"0","message_":"x","path":"/a b"}"#
        )
    }

    @Test("log text is bounded")
    func logBound() {
        let long = LogLine(
            unixMilliseconds: 0,
            level: .info,
            label: "n",
            message: String(repeating: "x", count: 100_000),
            fields: []
        )
        #expect(long.text.utf8.count < 5_000)
    }
}
