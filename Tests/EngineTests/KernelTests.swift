import Testing

@testable import Engine

@Suite("Kernels")
struct KernelTests {
    private static let variants = KernelVariant.allCases.filter(\.isSupported)

    @Test("a product's element is one chain of fused multiply-adds in ascending order", arguments: variants)
    func chain(variant: KernelVariant) {
        // Depths around the slices that the kernel cuts; rows around the tiles.
        for (rowCount, depth, outputCount) in [(1, 1, 1), (7, 300, 33), (13, 256, 16), (12, 513, 48), (5, 31, 70)] {
            let (rows, matrix, weights) = Self.operands(rowCount: rowCount, depth: depth, outputCount: outputCount)
            let result = FloatMatrix(rowCount: rowCount, columnCount: outputCount)
            for accumulates in [false, true] {
                let before = (0..<rowCount).map { result.values(ofRow: $0) }
                matrix.multiply(
                    rows,
                    rowRange: 0..<rowCount,
                    panelRange: 0..<matrix.panelCount,
                    into: result,
                    accumulates: accumulates,
                    variant: variant
                )
                for row in 0..<rowCount {
                    for output in 0..<outputCount {
                        var sum: Float = accumulates ? before[row][output] : 0
                        for input in 0..<depth { sum.addProduct(rows[row, input], weights[output * depth + input]) }
                        #expect(result[row, output].bitPattern == sum.bitPattern)
                    }
                }
            }
        }
    }

    @Test("a part of the rows and panels has the same bits as the whole, and nothing else is touched")
    func parts() {
        let (rows, matrix, _) = Self.operands(rowCount: 9, depth: 40, outputCount: 80)
        let whole = FloatMatrix(rowCount: 9, columnCount: 80)
        matrix.multiply(rows, rowRange: 0..<9, panelRange: 0..<5, into: whole)
        let part = FloatMatrix(rowCount: 9, columnCount: 80)
        matrix.multiply(rows, rowRange: 2..<7, panelRange: 1..<4, into: part)
        for row in 0..<9 {
            for column in 0..<80 {
                let isInside = (2..<7).contains(row) && (16..<64).contains(column)
                #expect(part[row, column] == (isInside ? whole[row, column] : 0))
            }
        }
    }

    @Test("exponentials sum to what double precision says, keep their order, and stop at the count", arguments: variants)
    func softmax(variant: KernelVariant) {
        for count in [1, 2, 15, 16, 17, 100] {
            let scores = TestModels.floats(count, seed: 3).map { $0 * 30 }
            let matrix = FloatMatrix(rowCount: 1, columnCount: count + 1)
            for index in 0..<count { matrix[0, index] = scores[index] }
            matrix[0, count] = 12_345
            let sum = unsafe variant.exponentiate(matrix.row(0), count: count)
            let top = scores.max() ?? 0
            let exact = scores.map { Reference.exponential(Double($0 - top)) }
            #expect(matrix[0, count] == 12_345)
            #expect(abs(Double(sum) - exact.reduce(0, +)) < 1e-6 * exact.reduce(0, +))
            for index in 0..<count {
                #expect(abs(Double(matrix[0, index]) - exact[index]) <= 2e-7 * exact[index] + 1e-37)
            }
        }
    }

    @Test("softmax does not change when a constant is added to all scores")
    func shift() {
        let scores = TestModels.floats(40, seed: 4)
        func weights(_ offset: Float) -> [Float] {
            let matrix = FloatMatrix(rowCount: 1, columnCount: 40)
            // Multiples of 1/4096 stay exact when a small whole number is added.
            for index in 0..<40 { matrix[0, index] = (scores[index] * 4_096).rounded() / 4_096 + offset }
            let sum = unsafe KernelVariant.best.exponentiate(matrix.row(0), count: 40)
            return matrix.values(ofRow: 0).map { $0 / sum }
        }
        #expect(weights(0) == weights(64))
        #expect(abs(weights(0).reduce(0, +) - 1) < 1e-6)
    }

    @Test("scores far below the greatest weigh nothing, and an infinite gap makes no not-a-number")
    func extremes() {
        let matrix = FloatMatrix(rowCount: 1, columnCount: 4)
        for (index, value) in [0, -200, -Float.greatestFiniteMagnitude, -Float.infinity].enumerated() {
            matrix[0, index] = value
        }
        let sum = unsafe KernelVariant.best.exponentiate(matrix.row(0), count: 4)
        #expect(sum == 1)
        #expect(matrix.values(ofRow: 0) == [1, 0, 0, 0])
    }

    @Test("a normalized row has a root mean square of 1 and does not depend on the row's scale", arguments: variants)
    func normalize(variant: KernelVariant) {
        for count in [1, 16, 44, 512] {
            let values = TestModels.floats(count, seed: 5)
            func normalized(scale: Float) -> [Float] {
                let rows = FloatMatrix(rowCount: 3, columnCount: count)
                for index in 0..<count {
                    rows[0, index] = values[index] * scale
                    rows[1, index] = 1
                }
                unsafe variant.normalize(rows.row(0), weights: rows.row(1), count: count, epsilon: 0, into: rows.row(2))
                return rows.values(ofRow: 2)
            }
            let result = normalized(scale: 1)
            let meanSquare = result.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)
            #expect(abs(meanSquare - 1) < 1e-5)
            #expect(normalized(scale: 1_024) == result)
        }
    }

    @Test("the gate is SiLU(gate) times up, also far from zero", arguments: variants)
    func gate(variant: KernelVariant) {
        let gates = TestModels.floats(37, seed: 6).map { $0 * 20 } + [-1_000, -90, -88, 0, 88, 1_000]
        let ups = TestModels.floats(gates.count, seed: 7)
        let rows = FloatMatrix(rowCount: 2, columnCount: gates.count)
        for index in gates.indices { (rows[0, index], rows[1, index]) = (gates[index], ups[index]) }
        unsafe variant.gate(rows.row(0), up: rows.row(1), count: gates.count)
        for index in gates.indices {
            let exact = Reference.gate(Double(gates[index])) * Double(ups[index])
            #expect(abs(Double(rows[0, index]) - exact) <= 1e-6 * abs(exact) + 1e-35)
        }
    }

    private static func operands(
        rowCount: Int,
        depth: Int,
        outputCount: Int
    ) -> (rows: FloatMatrix, matrix: PackedMatrix, weights: [Float]) {
        let rows = FloatMatrix(rowCount: rowCount, columnCount: depth)
        let values = TestModels.floats(rowCount * depth, seed: 1)
        for row in 0..<rowCount { for column in 0..<depth { rows[row, column] = values[row * depth + column] } }
        let weights = TestModels.floats(outputCount * depth, seed: 2)
        let matrix = PackedMatrix(outputCount: outputCount, inputCount: depth)
        for output in 0..<outputCount { matrix.set(output: output) { weights[output * depth + $0] } }
        return (rows, matrix, weights)
    }
}
