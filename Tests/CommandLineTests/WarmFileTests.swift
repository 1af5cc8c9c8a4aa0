import Blocks
import Testing

@testable import larder

@Suite("the file of larder warm")
struct WarmFileTests {
    private let namespace = String(repeating: "0a", count: 32)

    @Test("a line gives a prefix by keys, or by a prompt file beside it")
    func lines() throws {
        let text = """
            # before the peak

            {"ns": "\(namespace)", "keys": ["00ff", "A1"], "pin": true, "ttl": "1h", "tokens": 32, "hits": 7}
            {"prompt_file": "a/b.txt", "tier": "disk"}
            {"ns": {"model": "m"}, "keys": ["01"], "tier": "ram"}
            """
        let entries = try WarmFile(text: text, path: "dir/warm.jsonl").entries
        try #require(entries.count == 3)
        #expect(entries[0].line == 3)
        #expect(entries[0].isPinned)
        #expect(entries[0].timeToLive?.milliseconds == 3_600_000)
        #expect(entries[0].tier == .memory)
        guard case .keys(let keys, .id(let id)) = entries[0].prefix else {
            Issue.record("not keys: \(entries[0].prefix)")
            return
        }
        #expect(keys.map(\.key.bytes) == [[0x00, 0xff], [0xa1]])
        #expect(id.description == namespace)
        #expect(entries[1].prefix == .promptFile("dir/a/b.txt"))
        #expect(entries[1].tier == .disk)
        #expect(entries[1].timeToLive == nil)
        guard case .keys(_, .description(let json)) = entries[2].prefix else {
            Issue.record("not a description: \(entries[2].prefix)")
            return
        }
        #expect(json == #"{"model":"m"}"#)
    }

    @Test("a prompt file with an absolute path is where it says")
    func absolutePath() throws {
        let entries = try WarmFile(text: #"{"prompt_file":"/p.txt"}"#, path: "dir/warm.jsonl").entries
        #expect(entries.first?.prefix == .promptFile("/p.txt"))
    }

    @Test(
        "what is not such a line is refused with its number",
        arguments: [
            "[]", "{", "{}", #"{"keys":["00"]}"#, #"{"ns":"12","keys":["00"]}"#, #"{"prompt_file":1}"#,
            #"{"prompt_file":"p","keys":["00"]}"#, #"{"prompt_file":"p","ns":{"model":"m"}}"#,
            #"{"prompt_file":"p","tier":"tape"}"#, #"{"prompt_file":"p","pin":1}"#,
            #"{"prompt_file":"p","ttl":3600}"#, #"{"prompt_file":"p","ttl":"0"}"#,
            #"{"ns":{"model":"m"},"keys":[]}"#, #"{"ns":{"model":"m"},"keys":["0"]}"#,
            #"{"ns":{"model":"m"},"keys":["zz"]}"#, #"{"prompt_file":"p","ttll":"1h"}"#,
        ]
    )
    func malformed(line: String) {
        #expect {
            try WarmFile(text: "# first\n\(line)\n", path: "w.jsonl")
        } throws: { error in
            (error as? CommandFailure)?.description.hasPrefix("w.jsonl:2: ") == true
        }
    }

    @Test("a slip in a name gets a suggestion")
    func suggestion() {
        #expect(
            throws: CommandFailure(.noInput, "w:1: 'promt_file' is no name here; did you mean 'prompt_file'?")
        ) {
            try WarmFile(text: #"{"promt_file":"p"}"#, path: "w")
        }
    }

    @Test("progress says how far it is and how long it will take")
    func progress() {
        var progress = WarmProgress(prefixCount: 4)
        #expect(progress.text(elapsedSeconds: 0) == "0/4 prefixes, 0 blocks, 0 %")
        progress.prefixesDone = 1
        progress.blocksDone = 1_200
        #expect(
            progress.text(elapsedSeconds: 3) == "1/4 prefixes, 1,200 blocks, 25 %, 400 blocks/s, ETA 9s"
        )
        progress.prefixesDone = 4
        #expect(progress.text(elapsedSeconds: 12) == "4/4 prefixes, 1,200 blocks, 100 %, 100 blocks/s")
    }
}
