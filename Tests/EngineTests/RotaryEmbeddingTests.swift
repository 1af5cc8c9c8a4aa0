import Testing

@testable import Engine

@Suite("The rotary embedding")
struct RotaryEmbeddingTests {
    @Test("leaves position 0 alone and keeps the length of every head")
    func length() {
        let values = TestModels.floats(10, seed: 1)
        #expect(turned(values, by: 0) == values)
        for position in [1, 100, 100_000] {
            let result = turned(values, by: position)
            #expect(result != values)
            #expect(abs(product(result, result) - product(values, values)) < 1e-5)
        }
    }

    @Test("makes the product of a query and a key depend on their distance alone", arguments: [0, 1, 17, 300])
    func distance(offset: Int) {
        let (query, key) = (TestModels.floats(10, seed: 2), TestModels.floats(10, seed: 3))
        let near = product(turned(query, by: offset + 5), turned(key, by: 5))
        let far = product(turned(query, by: offset + 1_005), turned(key, by: 1_005))
        #expect(abs(near - far) < 1e-4)
    }

    @Test("scaled as Llama 3 does keeps short wavelengths, stretches long ones, and blends between")
    func llama3() {
        let scaling = RotaryScaling.llama3(
            factor: 8,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            trainedTokenCount: 8_192
        )
        #expect(scaling.apply(to: 1) == 1)
        #expect(scaling.apply(to: 1e-5) == 1e-5 / 8)
        let between = scaling.apply(to: 2e-3)
        #expect(between > 2e-3 / 8 && between < 2e-3)
    }

    private func turned(_ values: [Float], by position: Int) -> [Float] {
        let matrix = FloatMatrix(rowCount: 1, columnCount: values.count)
        for index in values.indices { matrix[0, index] = values[index] }
        unsafe RotaryEmbedding.turn(matrix.row(0), by: RotaryEmbedding(TestModels.odd).rotation(at: position))
        return matrix.values(ofRow: 0)
    }

    private func product(_ left: [Float], _ right: [Float]) -> Double {
        zip(left, right).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
}
