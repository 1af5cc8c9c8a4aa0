import Testing

@testable import Engine

@Suite("Sampling")
struct SamplerTests {
    @Test("without temperature takes the likeliest token, the first of equals")
    func greedy() {
        var sampler = Sampler()
        #expect(sampler.next(Logits([0, 3, -1, 3])) == 1)
        #expect(sampler.next(Logits([.nan, 2, .nan])) == 1)
        #expect(sampler.next(Logits([.nan, .nan])) == 0)
    }

    @Test("repeats its choices for the same seed and makes others for another")
    func seeded() {
        func choices(seed: UInt64) -> [UInt32] {
            var sampler = Sampler(options(temperature: 1, seed: seed))
            return (0..<50).map { _ in sampler.next(Logits([1, 1, 1, 1, 1, 1, 1, 1])) }
        }
        #expect(choices(seed: 1) == choices(seed: 1))
        #expect(choices(seed: 1) != choices(seed: 2))
    }

    @Test("chooses each token as often as its probability says")
    func frequencies() {
        var sampler = Sampler(options(temperature: 2, seed: 3))
        var counts = [0, 0, 0]
        // exp(x / 2) is 1, 2, 5.
        for _ in 0..<8_000 { counts[Int(sampler.next(Logits([0, 1.386_294_4, 3.218_875_8])))] += 1 }
        #expect(abs(counts[0] - 1_000) < 150)
        #expect(abs(counts[1] - 2_000) < 200)
        #expect(abs(counts[2] - 5_000) < 250)
    }

    @Test("with a top probability never takes a token behind it")
    func topProbability() {
        var sampler = Sampler(options(temperature: 1, topProbability: 0.6, seed: 4))
        let chosen = Set((0..<500).map { _ in sampler.next(Logits([0.1, 0.3, 0.2, -1])) })
        #expect(chosen == [1, 2])
        var narrow = Sampler(options(temperature: 1, topProbability: 0, seed: 4))
        #expect(narrow.next(Logits([0.1, 0.3, 0.2])) == 1)
    }

    @Test("takes infinities and not-a-numbers in its stride")
    func extremes() {
        var sampler = Sampler(options(temperature: 1, seed: 5))
        #expect(sampler.next(Logits([.infinity, 0])) == 0)
        #expect(sampler.next(Logits([.nan, 1, -.infinity])) == 1)
        #expect(sampler.next(Logits([.nan])) == 0)
    }

    private func options(temperature: Double, topProbability: Double = 1, seed: UInt64) -> Sampler.Options {
        var options = Sampler.Options()
        (options.temperature, options.topProbability, options.seed) = (temperature, topProbability, seed)
        return options
    }
}
