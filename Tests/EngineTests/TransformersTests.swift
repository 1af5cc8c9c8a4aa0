import Foundation
import Testing

@testable import Engine

@Suite("A checkpoint of Hugging Face transformers")
struct TransformersTests {
    private struct Expected: Decodable {
        let tokens: [UInt32]
        /// Logits behind the first so many tokens.
        let logits: [String: [Double]]
    }

    @Test("gives the logits that transformers gives", arguments: [1, 40, 100])
    func logits(tokenCount: Int) throws {
        let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/tiny-llama")
        let json = try Data(contentsOf: directory.appending(path: "expected.json"))
        let expected = try JSONDecoder().decode(Expected.self, from: json)
        let engine = try Engine(model: .load(directory: directory.path))
        let logits = try engine.makeSequence().append(expected.tokens.prefix(tokenCount)).values
        let exact = try #require(expected.logits[String(tokenCount)])
        #expect(logits.count == exact.count)
        let largest = exact.map(abs).max() ?? 0
        #expect(largest > 0.5)
        let distance = zip(logits, exact).map { abs(Double($0) - $1) }.max() ?? .infinity
        #expect(distance < 2e-5 * largest)
    }
}
