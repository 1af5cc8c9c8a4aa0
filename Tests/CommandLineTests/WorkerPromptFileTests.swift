import Foundation
import TestSupport
import Testing

@testable import larder

@Suite("A worker's prompt file")
struct WorkerPromptFileTests {
    @Test("that is plain text is one prompt, byte for byte")
    func text() throws {
        #expect(try Self.read("{\"prompt\": 1}\n\nmore\n", "a.txt") == [["{\"prompt\": 1}\n\nmore\n"]])
    }

    @Test("of JSON lines has a conversation a line, of one turn or several")
    func lines() throws {
        let text = """
            {"prompt": "first"}

            {"turns": ["second\\n", "third"]}\r
            {"prompt": "f\\u00fcnf", "comment": "ignored"}
            """
        #expect(try Self.read(text, "a.jsonl") == [["first"], ["second\n", "third"], ["fünf"]])
    }

    @Test(
        "with a line that is no request is refused with the line's number",
        arguments: [
            "nothing", "{}", "[]", #"{"prompt": 1}"#, #"{"turns": []}"#, #"{"turns": "one"}"#,
            #"{"prompt": "a", "turns": ["b"]}"#,
        ]
    )
    func malformed(line: String) {
        do {
            _ = try Self.read("{\"prompt\": \"good\"}\n\(line)\n", "a.jsonl")
            Issue.record("no error")
        } catch {
            #expect((error as? CommandFailure)?.status == .noInput)
            #expect("\(error)".contains("line 2"))
        }
    }

    @Test("without a prompt, or that is not there, is refused")
    func absent() {
        #expect(throws: CommandFailure.self) { try Self.read("\n \n", "a.jsonl") }
        #expect(throws: CommandFailure.self) { try WorkerPromptFile.conversations(at: "/nowhere/prompt.txt") }
    }

    private static func read(_ text: String, _ name: String) throws -> [[String]] {
        let directory = try TemporaryDirectory()
        let url = URL(filePath: directory.path).appending(path: name)
        try Data(text.utf8).write(to: url)
        return try WorkerPromptFile.conversations(at: url.path).map {
            $0.map { String(decoding: $0, as: UTF8.self) }
        }
    }
}
