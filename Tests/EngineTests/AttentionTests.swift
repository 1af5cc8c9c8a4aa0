import Blocks
import Testing

@testable import Engine

@Suite("Attention")
struct AttentionTests {
    @Test("over pages agrees with attention over plain arrays, for every head and position")
    func agreement() throws {
        let fixture = try Fixture(tokenCount: 70)
        let result = fixture.attend(firstToken: 0, rowCount: 70)
        for position in 0..<70 {
            #expect(fixture.distance(result.values(ofRow: position), atPosition: position) < 1e-5)
        }
    }

    @Test("of a few tokens does not depend on which tokens are asked together", arguments: [1, 3, 16, 33])
    func independence(rowCount: Int) throws {
        let fixture = try Fixture(tokenCount: 70)
        let whole = fixture.attend(firstToken: 0, rowCount: 70)
        for firstToken in [0, 15, 16, 31, 37] {
            let part = fixture.attend(firstToken: firstToken, rowCount: rowCount)
            for row in 0..<rowCount { #expect(part.values(ofRow: row) == whole.values(ofRow: firstToken + row)) }
        }
    }

    @Test("ignores what lies behind a token, even what is not a number")
    func causality() throws {
        let fixture = try Fixture(tokenCount: 70)
        let before = fixture.attend(firstToken: 30, rowCount: 8)
        fixture.poison(from: 38)
        let after = fixture.attend(firstToken: 30, rowCount: 8)
        for row in 0..<8 { #expect(after.values(ofRow: row) == before.values(ofRow: row)) }
    }

    /// Random queries, keys and values of one layer.
    private struct Fixture {
        let configuration = TestModels.odd
        let tokenCount: Int
        let pages: [KVPage]
        let attention: Attention
        private let queries: [Float]
        private let keys: [Float]
        private let values: [Float]

        init(tokenCount: Int) throws {
            self.tokenCount = tokenCount
            let layout = try KVLayout(configuration, tokensPerBlock: 16, elementType: .float32)
            pages = (0..<(tokenCount + 15) / 16).map { _ in KVPage(KVPageShape(layout)) }
            attention = Attention(configuration, team: ThreadTeam(threadCount: 2), variant: .best)
            queries = TestModels.floats(tokenCount * configuration.querySize, seed: 1).map { $0 * 4 }
            keys = TestModels.floats(tokenCount * configuration.keyValueSize, seed: 2)
            values = TestModels.floats(tokenCount * configuration.keyValueSize, seed: 3)
            for token in 0..<tokenCount {
                let first = token * configuration.keyValueSize
                pages[token / 16]
                    .set(layer: 1, token: token % 16, key: { keys[first + $0] }, value: { values[first + $0] })
            }
        }

        func attend(firstToken: Int, rowCount: Int) -> FloatMatrix {
            let rows = FloatMatrix(rowCount: rowCount, columnCount: configuration.querySize)
            for row in 0..<rowCount {
                for column in 0..<configuration.querySize {
                    rows[row, column] = queries[(firstToken + row) * configuration.querySize + column]
                }
            }
            let result = FloatMatrix(rowCount: rowCount, columnCount: configuration.querySize)
            attention.attend(rows, rowCount: rowCount, firstToken: firstToken, pages: pages, layer: 1, into: result)
            return result
        }

        func poison(from first: Int) {
            for token in first..<pages.count * 16 {
                pages[token / 16].set(layer: 1, token: token % 16, key: { _ in .nan }, value: { _ in .nan })
            }
        }

        /// The largest difference to plain attention of the token at `position`.
        func distance(_ result: [Float], atPosition position: Int) -> Double {
            let reference = Reference(
                configuration: configuration,
                weights: SeededWeights(seed: 0, layerCount: configuration.layerCount)
            )
            let (size, width) = (configuration.headSize, configuration.keyValueSize)
            func slice(_ array: [Float], _ first: Int) -> [Double] { array[first..<first + size].map(Double.init) }
            var largest = 0.0
            for head in 0..<configuration.queryHeadCount {
                let shared = head / configuration.groupSize * size
                let exact = reference.attend(
                    slice(queries, position * configuration.querySize + head * size),
                    (0...position).map { slice(keys, $0 * width + shared) },
                    (0...position).map { slice(values, $0 * width + shared) }
                )
                for element in 0..<size {
                    largest = max(largest, abs(Double(result[head * size + element]) - exact[element]))
                }
            }
            return largest
        }
    }
}
