internal import ArgumentParser
internal import Blocks
internal import PayloadCoding

/// `larder bench codec [FILE]`.
struct CodecBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "codec",
        abstract: "Tell how small each codec makes KV, and how fast one core codes and decodes it.",
        discussion: """
            Without a file, KV is made up for each element type: bell-shaped values whose spread differs from channel \
            to channel. With one, its bytes are elements of the one type that --dtype names, as an engine would hand \
            them over; - is standard input. Everything runs on one core, in pieces of at most 2 MiB, as the disk tier \
            stores them, and every round's bytes are compared with the original.

              larder bench codec
              larder bench codec --dtype bfloat16 layer7.kv
              larder bench codec --dtype bf16,fp8 --data kv,padded --rounds 50
              larder bench codec --dtype bf16 --variant portable --output json

            CODECS:
              raw           a copy, to compare with
              lz4           LZ4
              lz4-planes    elements of two bytes as two planes of bytes, LZ4 on each
              exponent      exponents by rank, signs and mantissas as they are
              exponent+lz4  LZ4 behind it, on pieces where that wins

            IN and OUT are raw GB/s, coding and decoding: the best round and the median. Where the machine has other work, \
            the best of many short rounds tells most. CHOSEN is what the disk tier \
            would take for such a payload. VARIANT is the instruction set of the exponent code: the fastest here, or \
            the one that --variant names.

            DATA:
              kv      dense keys and values
              padded  the same, every other token zero
              random  any bits: nothing can be won
            """
    )

    @Argument(help: ArgumentHelp("A file of elements; - is standard input.", valueName: "file"))
    var file: String?

    @Option(
        help: ArgumentHelp(
            "Element types: bfloat16, float16, float32, fp8_e4m3, fp8_e5m2. (default: all)",
            valueName: "list"
        )
    )
    var dtype: BenchList<CodecBenchType>?

    @Option(help: ArgumentHelp("What is made up: kv, padded, random.", valueName: "list"))
    var data = BenchList([CodecBenchKind.kv])

    @Option(help: ArgumentHelp("Bytes that are made up of each.", valueName: "size"))
    var size = ByteCount(bytes: 8 << 20)

    @Option(
        help: ArgumentHelp(
            "Instruction set of the exponent code. (default: the fastest here)",
            valueName: "name"
        )
    )
    var variant: ExponentVariant?

    @Option(help: ArgumentHelp("Rounds that are measured.", valueName: "count"))
    var rounds = 15

    @Option(help: ArgumentHelp("Decides what is made up.", valueName: "number"))
    var seed: UInt64 = 1

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1_000).contains(rounds) else { throw ValidationError("--rounds is 1 to 1000") }
        guard (1...(1 << 30)).contains(size.bytes) else { throw ValidationError("--size is 1 B to 1 GiB") }
        guard file == nil || dtype?.values.count == 1 else {
            throw ValidationError("say with --dtype what the elements of the file are")
        }
        if let variant, !variant.isSupported {
            let names = ExponentVariant.allCases.filter(\.isSupported).map(\.rawValue).joined(separator: ", ")
            throw ValidationError("this machine does not run \(variant.rawValue), only \(names)")
        }
    }

    func run() throws {
        var report = CodecBenchReport.empty
        var isRight = true
        for subject in try subjects() {
            let payload = try subject.bytes()
            guard !payload.isEmpty else { throw CommandFailure(.noInput, "\(subject.name) is empty") }
            let scratch = CodecScratch()
            // SAFETY: the probe reads the array's own bytes during the call.
            let chosen = unsafe payload.withUnsafeBytes {
                unsafe CodecProbe.choose(for: $0, elementType: subject.elementType, scratch: scratch)
            }
            for coding in Self.codings(subject.elementType) {
                let bench = CodecBench(coding: coding, variant: variant ?? .best, roundCount: rounds)
                let result = bench.run(payload)
                isRight = isRight && result.isRight
                report.rows.append(
                    CodecBenchReport.row(
                        subject.name,
                        subject.elementType,
                        payload.count,
                        bench,
                        result,
                        isChosen: coding == chosen
                    )
                )
            }
        }
        try output.print(report)
        guard isRight else { throw CommandFailure(.negative, "a codec did not give back what it was given") }
    }

    private struct Subject {
        let name: String
        let elementType: ElementType
        let bytes: () throws(CommandFailure) -> [UInt8]
    }

    private func subjects() throws(CommandFailure) -> [Subject] {
        let types = dtype?.values ?? CodecBenchType.all
        if let file {
            return types.map { type in
                Subject(name: file, elementType: type.elementType) { () throws(CommandFailure) in
                    try InputFile.bytes(at: file)
                }
            }
        }
        return data.values.flatMap { kind in
            types.map { type in
                Subject(name: kind.rawValue, elementType: type.elementType) {
                    CodecBenchData(kind: kind, elementType: type.elementType).bytes(size.bytes, seed: seed)
                }
            }
        }
    }

    private static func codings(_ type: ElementType) -> [PieceCoding] {
        var codings: [PieceCoding] = [.raw, PieceCoding(.lz4)]
        if type.byteCount == 2 { codings.append(PieceCoding(.lz4Planes)) }
        codings.append(PieceCoding(.exponent, elementType: type))
        codings.append(PieceCoding(.exponent, elementType: type, addsLZ4: true))
        return codings
    }
}

/// An element type that has an exponent, by any name that engines use.
struct CodecBenchType: ExpressibleByArgument, Sendable {
    static let all = ElementType.allCases.compactMap { CodecBenchType($0) }

    let elementType: ElementType

    init?(argument: String) { self.init(ElementType(name: argument)) }

    private init?(_ elementType: ElementType) {
        guard ExponentCodec(elementType) != nil else { return nil }
        self.elementType = elementType
    }

    var defaultValueDescription: String { elementType.name }
}

extension CodecBenchKind: ExpressibleByArgument {}
extension ExponentVariant: ExpressibleByArgument {}
