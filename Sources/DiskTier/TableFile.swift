import Blocks
import CRocksDB
import Glibc

/// One sorted table being written to a temporary file; what is not ingested is removed by deinit.
///
/// After an error nothing more may be written: the library, built with assertions, ends the process otherwise.
@safe
final class TableFile {
    let path: String
    // SAFETY: belongs to this object, used by one thread, freed by deinit.
    private let pointer: OpaquePointer
    private let environment: OpaquePointer
    private var isBroken = false

    /// Creates the file; the directory must be on the database's file system.
    init(path: String, options: RocksOptions) throws(CacheError) {
        self.path = path
        unsafe environment = rocksdb_envoptions_create()
        unsafe pointer = rocksdb_sstfilewriter_create(environment, options.pointer)
        try unsafe guarded("creating \(path)") { error in
            unsafe rocksdb_sstfilewriter_open(pointer, path, error)
        }
    }

    deinit {
        unsafe rocksdb_sstfilewriter_destroy(pointer)
        unsafe rocksdb_envoptions_destroy(environment)
        // Gone already when it was ingested.
        unsafe unlink(path)
    }

    /// Adds a record; keys must ascend.
    func put(_ key: RecordKey, _ value: UnsafeRawBufferPointer) throws(CacheError) {
        try unsafe guarded("writing \(path)") { error in
            unsafe key.withCBytes { keyBytes, keyCount in
                unsafe value.withMemoryRebound(to: CChar.self) { characters in
                    unsafe rocksdb_sstfilewriter_put(
                        pointer,
                        keyBytes,
                        keyCount,
                        characters.baseAddress,
                        characters.count,
                        error
                    )
                }
            }
        }
    }

    /// Completes and syncs the file. Gives its bytes.
    func finish() throws(CacheError) -> Int {
        try unsafe guarded("finishing \(path)") { error in unsafe rocksdb_sstfilewriter_finish(pointer, error)
        }
        var byteCount: UInt64 = 0
        unsafe rocksdb_sstfilewriter_file_size(pointer, &byteCount)
        return Int(clamping: byteCount)
    }

    private func guarded(
        _ doing: @autoclosure () -> String,
        _ call: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Void
    ) throws(CacheError) {
        guard !isBroken else {
            throw CacheError(.storageFailure, "\(doing()): given up after an earlier error")
        }
        isBroken = true
        try unsafe withRocksError(doing(), call)
        isBroken = false
    }
}
