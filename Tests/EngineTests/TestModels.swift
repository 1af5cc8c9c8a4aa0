@testable import Engine

/// Small models and prompts that tests share.
enum TestModels {
    /// Two layers; 3 query heads to a key head; sizes that are no multiples of 16.
    static var odd: ModelConfiguration {
        var configuration = ModelConfiguration()
        configuration.layerCount = 2
        configuration.hiddenSize = 44
        configuration.queryHeadCount = 6
        configuration.keyValueHeadCount = 2
        configuration.headSize = 10
        configuration.feedForwardSize = 70
        configuration.contextTokenCountMax = 400
        return configuration
    }

    /// A prompt that depends only on the seed.
    static func tokens(_ count: Int, seed: UInt64 = 1) -> [UInt32] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt32(generator.next() % 256) }
    }

    /// Floats in -1..<1 that depend only on the seed.
    static func floats(_ count: Int, seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Float(Int64(generator.next() >> 40) - 0x80_0000) / 0x80_0000 }
    }
}

extension Engine {
    /// An engine with a seeded model.
    convenience init(
        _ configuration: ModelConfiguration,
        seed: UInt64 = 7,
        _ change: (inout EngineOptions) -> Void = { _ in }
    ) throws {
        var options = EngineOptions()
        change(&options)
        try self.init(model: .seeded(seed, configuration: configuration), options: options)
    }
}

extension EngineSequence {
    /// The bytes of the first `count` blocks.
    func exported(_ count: Int, _ layout: KVLayout) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for index in 0..<count {
            var block = [UInt8](repeating: 0xee, count: layout.blockByteCount)
            try unsafe block.withUnsafeMutableBytes { try unsafe exportBlock(index, into: $0) }
            bytes += block
        }
        return bytes
    }

    /// Imports bytes of an array.
    func importBlocks(_ bytes: [UInt8]) throws {
        try unsafe bytes.withUnsafeBytes { try unsafe importBlocks($0) }
    }
}
