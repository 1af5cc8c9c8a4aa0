import Blocks
import CRocksDB
import Glibc
import Synchronization

/// An open database; closes when the last reference goes.
///
/// RocksDB's handle may be used from any thread at once.
@safe
final class RocksDatabase: @unchecked Sendable {
    // SAFETY: both pointers come from a successful open and are released only by deinit.
    fileprivate let pointer: OpaquePointer
    private let defaultFamily: OpaquePointer
    private let options: RocksOptions

    /// Opens the database with every family that it has.
    ///
    /// - Returns: the database and its families but the default one, by name.
    static func open(
        path: String,
        options: RocksOptions,
        graveyard: FamilyGraveyard
    ) throws(CacheError) -> (RocksDatabase, [String: RocksFamily]) {
        let names = try existingFamilyNames(path: path, options: options)
        let (pointer, handles) = try unsafe openPointers(path: path, options: options, names: names)
        // The default family is there in every database; it stays empty.
        guard let index = names.firstIndex(of: "default") else {
            unsafe handles.forEach { unsafe rocksdb_column_family_handle_destroy($0) }
            unsafe rocksdb_close(pointer)
            throw CacheError(.storageFailure, "opening the database: no default column family")
        }
        let database = unsafe RocksDatabase(pointer: pointer, defaultFamily: handles[index], options: options)
        var families: [String: RocksFamily] = [:]
        for (position, name) in names.enumerated() where position != index {
            families[name] = unsafe RocksFamily(
                handle: handles[position],
                database: database,
                graveyard: graveyard
            )
        }
        return (database, families)
    }

    private init(pointer: OpaquePointer, defaultFamily: OpaquePointer, options: RocksOptions) {
        unsafe self.pointer = pointer
        unsafe self.defaultFamily = defaultFamily
        self.options = options
    }

    deinit {
        unsafe rocksdb_column_family_handle_destroy(defaultFamily)
        unsafe rocksdb_close(pointer)
    }

    /// Makes a family.
    func createFamily(_ name: String, graveyard: FamilyGraveyard) throws(CacheError) -> RocksFamily {
        var created: OpaquePointer?
        do throws(CacheError) {
            try unsafe withRocksError("creating segment \(name)") { error in
                unsafe created = rocksdb_create_column_family(pointer, options.pointer, name, error)
            }
        } catch {
            // The C interface makes its handle before it tries; there is no family in it then.
            if let handle = unsafe created { unsafe rocksdb_column_family_handle_destroy(handle) }
            throw error
        }
        guard let handle = unsafe created else {
            throw CacheError(.storageFailure, "creating segment \(name): no handle")
        }
        return unsafe RocksFamily(handle: handle, database: self, graveyard: graveyard)
    }

    /// Takes a family out of the database; its files go when the last reference to it goes.
    func drop(_ family: RocksFamily) throws(CacheError) {
        try unsafe withRocksError("dropping a segment") { error in
            unsafe rocksdb_drop_column_family(pointer, family.handle, error)
        }
    }

    /// Moves a finished table file into a family: durable and readable when this returns.
    func ingest(path: String, into family: RocksFamily) throws(CacheError) {
        let ingestion = unsafe rocksdb_ingestexternalfileoptions_create()
        defer { unsafe rocksdb_ingestexternalfileoptions_destroy(ingestion) }
        unsafe rocksdb_ingestexternalfileoptions_set_move_files(ingestion, 1)
        unsafe rocksdb_ingestexternalfileoptions_set_allow_global_seqno(ingestion, 0)
        try unsafe withRocksError("taking in \(path)") { error in
            unsafe path.withCString { cPath in
                var list: UnsafePointer<CChar>? = unsafe cPath
                unsafe rocksdb_ingest_external_file_cf(pointer, family.handle, &list, 1, ingestion, error)
            }
        }
    }

    /// An iterator over a family, not yet positioned.
    ///
    /// It does not reach `upperBound`; RocksDB chooses how far to read ahead when that is 0.
    func iterator(
        over family: RocksFamily,
        upperBound: RecordKey? = nil,
        readAheadByteCount: Int = 0
    ) -> RocksIterator {
        unsafe RocksIterator(
            database: pointer,
            family: family,
            handle: family.handle,
            upperBound: upperBound,
            readAheadByteCount: readAheadByteCount
        )
    }

    /// Lends the value of `key` to `body`, pinned in RocksDB's memory; `nil` when there is none.
    func withValue<Result>(
        of key: RecordKey,
        in family: RocksFamily,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(CacheError) -> Result? {
        let reading = unsafe rocksdb_readoptions_create()
        defer { unsafe rocksdb_readoptions_destroy(reading) }
        unsafe rocksdb_readoptions_set_fill_cache(reading, 0)
        let slice = try unsafe withRocksError("reading a piece") { error in
            unsafe key.withCBytes { bytes, count in
                unsafe rocksdb_get_pinned_cf(pointer, reading, family.handle, bytes, count, error)
            }
        }
        guard let slice = unsafe slice else { return nil }
        defer { unsafe rocksdb_pinnableslice_destroy(slice) }
        var count = 0
        let bytes = unsafe rocksdb_pinnableslice_value(slice, &count)
        // SAFETY: the slice owns `count` bytes until it is destroyed, after `body`.
        return unsafe body(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    /// The tables that the manifest names, readable or not.
    func liveTables() -> [LiveTable] {
        guard let list = unsafe rocksdb_livefiles(pointer) else { return [] }
        defer { unsafe rocksdb_livefiles_destroy(list) }
        let tableCount = unsafe rocksdb_livefiles_count(list)
        return (0..<tableCount).compactMap { index in
            guard let name = unsafe rocksdb_livefiles_column_family_name(list, index) else { return nil }
            var count = 0
            guard let bytes = unsafe rocksdb_livefiles_largestkey(list, index, &count) else { return nil }
            let largest = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
            return LiveTable(
                familyName: unsafe String(cString: name),
                byteCount: unsafe rocksdb_livefiles_size(list, index),
                largestKey: RecordKey(decoding: unsafe largest.bytes)
            )
        }
    }

    /// A table as the manifest describes it.
    struct LiveTable {
        let familyName: String
        let byteCount: Int
        /// `nil` when it is not one of our keys.
        let largestKey: RecordKey?
    }

    private static func existingFamilyNames(
        path: String,
        options: RocksOptions
    ) throws(CacheError) -> [String] {
        if options.creates { return ["default"] }
        var count = 0
        let list = try unsafe withRocksError("listing the segments") { error in
            unsafe rocksdb_list_column_families(options.pointer, path, &count, error)
        }
        guard let list = unsafe list else {
            throw CacheError(.storageFailure, "listing the segments: nothing came back")
        }
        defer { unsafe rocksdb_list_column_families_destroy(list, count) }
        return (0..<count).compactMap { index in unsafe list[index].map { unsafe String(cString: $0) } }
    }

    private static func openPointers(
        path: String,
        options: RocksOptions,
        names: [String]
    ) throws(CacheError) -> (OpaquePointer, [OpaquePointer]) {
        var handles = unsafe [OpaquePointer?](repeating: nil, count: names.count)
        let cNames = unsafe names.map { unsafe UnsafePointer(strdup($0)) }
        defer { unsafe cNames.forEach { unsafe free(UnsafeMutablePointer(mutating: $0)) } }
        let familyOptions = unsafe [OpaquePointer?](repeating: options.pointer, count: names.count)
        let pointer = try unsafe withRocksError("opening the database") { error in
            unsafe rocksdb_open_column_families(
                options.pointer,
                path,
                CInt(names.count),
                cNames,
                familyOptions,
                &handles,
                error
            )
        }
        let opened = unsafe handles.compactMap { unsafe $0 }
        guard let pointer = unsafe pointer, unsafe opened.count == names.count else {
            throw CacheError(.storageFailure, "opening the database: handles are missing")
        }
        return unsafe (pointer, opened)
    }
}

/// A segment's column family.
///
/// When the last reference goes, the handle goes to the graveyard, which unlinks the files if the family was
/// dropped.
@safe
final class RocksFamily: @unchecked Sendable {
    // SAFETY: comes from RocksDB, belongs to this object, is handed over once by deinit.
    fileprivate let handle: OpaquePointer
    private let database: RocksDatabase
    private let graveyard: FamilyGraveyard
    private let releasingByteCount = Atomic<Int>(0)

    fileprivate init(handle: OpaquePointer, database: RocksDatabase, graveyard: FamilyGraveyard) {
        unsafe self.handle = handle
        self.database = database
        self.graveyard = graveyard
    }

    deinit {
        unsafe graveyard.bury(
            FamilyGraveyard.Grave(
                handle: handle,
                database: database,
                byteCount: releasingByteCount.load(ordering: .acquiring)
            )
        )
    }

    /// Says that the family was dropped, and how many bytes will come free with it.
    func announceRelease(byteCount: Int) {
        releasingByteCount.store(byteCount, ordering: .releasing)
        graveyard.expect(byteCount: byteCount)
    }
}
