import Testing

@testable import larder

@Suite("values people write")
struct ValueTests {
    @Test(
        "a size is a number and an unambiguous unit",
        arguments: [
            ("4096", 4_096), ("2GiB", 2 << 30), ("512MiB", 512 << 20), ("1GB", 1_000_000_000),
            ("1.5KiB", 1_536),
            ("0", 0), ("10 tib", 10 << 40), ("1.001kB", 1_001),
        ]
    )
    func size(text: String, bytes: Int) {
        #expect(ByteCount(text)?.bytes == bytes)
    }

    @Test(
        "what is not exactly a size is refused",
        arguments: [
            "", "GiB", "2G", "-1", "2 gigs", "1.2345kB", "0.5B", "9223372036854775807TiB", "1..5GB", "٣GiB",
        ]
    )
    func noSize(text: String) {
        #expect(ByteCount(text) == nil)
    }

    @Test("a size is shown in the unit people read, and spelled back exactly")
    func sizeText() {
        #expect(ByteCount(bytes: 512).description == "512 B")
        #expect(ByteCount(bytes: 2 << 30).description == "2.0 GiB")
        #expect(ByteCount(bytes: 1_536).description == "1.5 KiB")
        #expect(ByteCount(bytes: 2 << 30).exactText == "2GiB")
        #expect(ByteCount(bytes: 1_000_000).exactText == "1000000")
    }

    @Test(
        "a time is whole numbers with units",
        arguments: [("30s", 30_000), ("500ms", 500), ("1h30m", 5_400_000), ("0", 0), ("2d", 172_800_000)]
    )
    func time(text: String, milliseconds: Int) {
        #expect(TimeSpan(text)?.milliseconds == milliseconds)
    }

    @Test(
        "what is not exactly a time is refused",
        arguments: ["", "30", "s", "1.5s", "-1s", "9223372036854775807d"]
    )
    func noTime(text: String) {
        #expect(TimeSpan(text) == nil)
    }

    @Test("a time is spelled so that it reads back", arguments: ["30s", "1500ms", "2h", "0", "1d"])
    func timeText(text: String) {
        #expect(TimeSpan(text)?.description == text)
    }

    @Test("a slip gets a suggestion, a stranger none")
    func suggestion() {
        #expect(Suggestion.closest(to: "memroy", among: ["memory", "disk"]) == "memory")
        #expect(Suggestion.closest(to: "memory-size", among: ["memory", "disk"]) == nil)
        #expect(Suggestion.closest(to: "hsot", among: ["host", "port"]) == "host")
    }
}
