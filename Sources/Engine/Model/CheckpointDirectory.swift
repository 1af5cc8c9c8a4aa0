internal import Crypto
internal import Foundation

/// A model on disk: config.json beside model.safetensors, or beside an index of several such files.
struct CheckpointDirectory: WeightSource {
    let configuration: ModelConfiguration
    /// The directory's last component.
    let name: String
    /// SHA-256 of config.json and of all weights files in the order of their names.
    let digest: String
    private let files: [Shard]

    private struct Shard {
        let file: MappedFile
        let header: SafetensorsHeader
    }

    init(path: String) throws(EngineError) {
        let directory = URL(filePath: path, directoryHint: .isDirectory)
        let json = try Self.contents(of: directory.appending(path: "config.json"))
        configuration = try ModelConfiguration(huggingFace: json)
        name = directory.lastPathComponent
        var hash = SHA256()
        hash.update(data: Data("larder checkpoint 1\n".utf8))
        hash.update(data: json)
        var files: [Shard] = []
        for fileName in try Self.weightFileNames(in: directory) {
            let file = try MappedFile(path: directory.appending(path: fileName).path)
            let parsed = unsafe file.withBytes { bytes in
                unsafe hash.update(bufferPointer: bytes)
                return Result { () throws(EngineError) in try unsafe SafetensorsHeader(parsing: bytes) }
            }
            files.append(Shard(file: file, header: try parsed.get()))
        }
        self.files = files
        digest = hexadecimal(hash.finalize())
    }

    func read(
        _ name: String,
        rowCount: Int,
        columnCount: Int,
        row: (Int, (Int) -> Float) -> Void
    ) throws(EngineError) {
        guard let shard = files.first(where: { $0.header.tensors[name] != nil }),
            let tensor = shard.header.tensors[name]
        else {
            throw EngineError(.invalidWeights, "there is no tensor \(name)")
        }
        let isVector = rowCount == 1 && tensor.shape == [columnCount]
        guard isVector || tensor.shape == [rowCount, columnCount] else {
            throw EngineError(
                .invalidWeights,
                "tensor \(name) has the shape \(tensor.shape), config.json asks for \([rowCount, columnCount])"
            )
        }
        guard let widen = unsafe tensor.format.widening else {
            throw EngineError(.invalidWeights, "tensor \(name) is \(tensor.format.rawValue), not F32, F16 or BF16")
        }
        unsafe shard.file.withBytes { bytes in
            // SAFETY: the header was checked to lie inside the file, and shape times element size to be its length.
            let elements = unsafe UnsafeRawBufferPointer(rebasing: bytes[tensor.byteRange])
            let elementByteCount = tensor.format.byteCount
            for index in 0..<rowCount {
                let first = index * columnCount
                row(index) { column in unsafe widen(elements, (first + column) * elementByteCount) }
            }
        }
    }

    private static func weightFileNames(in directory: URL) throws(EngineError) -> [String] {
        guard FileManager.default.fileExists(atPath: directory.appending(path: "model.safetensors.index.json").path)
        else {
            return ["model.safetensors"]
        }
        let json = try contents(of: directory.appending(path: "model.safetensors.index.json"))
        guard let index = try? JSONDecoder().decode(ShardIndex.self, from: json) else {
            throw EngineError(.invalidWeights, "model.safetensors.index.json has no weight_map")
        }
        let names = Set(index.weight_map.values).sorted()
        guard names.allSatisfy({ !$0.isEmpty && !$0.contains("/") && $0 != ".." && $0 != "." }), !names.isEmpty else {
            throw EngineError(.invalidWeights, "model.safetensors.index.json names files outside its directory")
        }
        return names
    }

    private static func contents(of url: URL) throws(EngineError) -> Data {
        do {
            return try Data(contentsOf: url)
        } catch {
            throw EngineError(.unreadableFile, "cannot read \(url.path): \(error.localizedDescription)")
        }
    }
}

private struct ShardIndex: Decodable {
    let weight_map: [String: String]
}

extension SafetensorsHeader.Format {
    /// Reads the element at a byte offset as a float32, exactly; `nil` for formats that are not weights.
    fileprivate var widening: ((UnsafeRawBufferPointer, Int) -> Float)? {
        switch self {
        case .float32:
            { unsafe Float(bitPattern: UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt32.self))) }
        case .bfloat16:
            { unsafe Float(brainBits: UInt16(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt16.self))) }
        case .float16:
            { unsafe Float(halfBits: UInt16(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt16.self))) }
        default: nil
        }
    }
}
