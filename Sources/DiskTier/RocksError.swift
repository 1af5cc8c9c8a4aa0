import Blocks
import CRocksDB

/// Runs one call of RocksDB's C interface and turns its error string into a `.storageFailure`; frees the
/// string.
///
/// `doing` says what was tried, for a person: "opening the database".
func withRocksError<Result>(
    _ doing: @autoclosure () -> String,
    _ call: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) throws(CacheError) -> Result {
    var message: UnsafeMutablePointer<CChar>?
    // SAFETY: RocksDB leaves `message` nil or stores one malloc'ed, zero-terminated string, which is freed here.
    let result = unsafe call(&message)
    guard let text = unsafe message else { return result }
    defer { unsafe rocksdb_free(text) }
    throw CacheError(.storageFailure, "\(doing()): \(unsafe String(cString: text))")
}
