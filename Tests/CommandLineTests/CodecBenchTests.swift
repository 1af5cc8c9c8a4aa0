import ArgumentParser
import Blocks
import PayloadCoding
import Testing

@testable import larder

@Suite("Codec bench")
struct CodecBenchTests {
    @Test("what is made up is the same for the same seed, and has the length asked for")
    func data() {
        for type in CodecBenchType.all {
            let data = CodecBenchData(kind: .kv, elementType: type.elementType)
            let bytes = data.bytes(5_001, seed: 1)
            #expect(bytes.count == 5_001)
            #expect(bytes == data.bytes(5_001, seed: 1))
            #expect(bytes != data.bytes(5_001, seed: 2))
        }
    }

    @Test("every codec gives back what it was given, with every variant", arguments: CodecBenchKind.allCases)
    func measured(kind: CodecBenchKind) {
        let payload = CodecBenchData(kind: kind, elementType: .bfloat16).bytes(60_000, seed: 1)
        for variant in ExponentVariant.allCases where variant.isSupported {
            for coding in [.raw, PieceCoding(.lz4), PieceCoding(.exponent, elementType: .bfloat16)] {
                let result = CodecBench(coding: coding, variant: variant, roundCount: 2).run(payload)
                #expect(result.isRight)
                #expect(result.codingSpeeds.count == 2 && result.decodingSpeeds.count == 2)
                #expect(result.ratio >= 1)
                if kind == .kv, coding.codec == .exponent { #expect(result.ratio > 1.4) }
            }
        }
    }

    @Test("a file needs one element type, and only floats are measured")
    func arguments() throws {
        #expect(throws: (any Error).self) { try CodecBenchCommand.parse(["file"]) }
        #expect(throws: (any Error).self) { try CodecBenchCommand.parse(["file", "--dtype", "bf16,fp16"]) }
        #expect(throws: (any Error).self) { try CodecBenchCommand.parse(["--dtype", "int8"]) }
        #expect(throws: (any Error).self) { try CodecBenchCommand.parse(["--variant", "fast"]) }
        #expect(throws: (any Error).self) { try CodecBenchCommand.parse(["--rounds", "0"]) }
        let command = try CodecBenchCommand.parse(["--dtype", "bf16,fp8_e5m2", "--size", "1MiB"])
        #expect(command.dtype?.values.map(\.elementType) == [.bfloat16, .float8e5m2])
        #expect(command.size.bytes == 1 << 20)
    }

    @Test("without a subcommand it is the server that is measured")
    func defaultSubcommand() throws {
        #expect(try BenchCommand.parseAsRoot(["--op", "get", "--size", "1MiB"]) is ServerBenchCommand)
        #expect(try BenchCommand.parseAsRoot(["codec", "--size", "1MiB"]) is CodecBenchCommand)
    }
}
