import Blocks
import CRocksDB

/// A position in a family; keeps the family alive.
@safe
struct RocksIterator: ~Copyable {
    // SAFETY: all pointers belong to this value and are freed by deinit, the iterator before its options and bound.
    private let pointer: OpaquePointer
    private let reading: OpaquePointer
    private let bound: UnsafeMutableRawBufferPointer?
    private let family: RocksFamily

    init(
        database: OpaquePointer,
        family: RocksFamily,
        handle: OpaquePointer,
        upperBound: RecordKey?,
        readAheadByteCount: Int
    ) {
        unsafe reading = rocksdb_readoptions_create()
        unsafe rocksdb_readoptions_set_fill_cache(reading, 0)
        unsafe rocksdb_readoptions_set_readahead_size(reading, readAheadByteCount)
        if let upperBound {
            // RocksDB keeps the address, not the bytes.
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: RecordKey.byteCount, alignment: 1)
            unsafe upperBound.withCBytes { bytes, count in
                unsafe copy.copyMemory(from: UnsafeRawBufferPointer(start: bytes, count: count))
            }
            unsafe rocksdb_readoptions_set_iterate_upper_bound(reading, copy.baseAddress, copy.count)
            unsafe bound = copy
        } else {
            unsafe bound = nil
        }
        unsafe pointer = rocksdb_create_iterator_cf(database, reading, handle)
        self.family = family
    }

    deinit {
        unsafe rocksdb_iter_destroy(pointer)
        unsafe rocksdb_readoptions_destroy(reading)
        unsafe bound?.deallocate()
    }

    /// Whether there is a record here.
    var isValid: Bool { unsafe rocksdb_iter_valid(pointer) != 0 }

    /// Goes to the first record at or after `key`.
    mutating func seek(_ key: RecordKey) {
        unsafe key.withCBytes { bytes, count in unsafe rocksdb_iter_seek(pointer, bytes, count) }
    }

    /// Goes to the next record; only where there is one.
    mutating func next() { unsafe rocksdb_iter_next(pointer) }

    /// The key here; `nil` when there is no record or its key is not one of ours.
    var key: RecordKey? {
        guard isValid else { return nil }
        var count = 0
        let bytes = unsafe rocksdb_iter_key(pointer, &count)
        // SAFETY: RocksDB keeps `count` bytes until the iterator moves.
        let buffer = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
        return RecordKey(decoding: unsafe buffer.bytes)
    }

    /// Lends the value here; only where there is a record.
    func withValue<Result: ~Copyable>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var count = 0
        let bytes = unsafe rocksdb_iter_value(pointer, &count)
        // SAFETY: RocksDB keeps `count` bytes until the iterator moves.
        return unsafe body(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    /// Throws what stopped the iterator, if anything but the end did.
    func check() throws(CacheError) {
        try unsafe withRocksError("reading records") { error in unsafe rocksdb_iter_get_error(pointer, error)
        }
    }
}
