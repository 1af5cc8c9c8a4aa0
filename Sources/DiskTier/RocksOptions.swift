import CRocksDB

/// The one set of options for the database, its families and its tables.
///
/// Immutable after `init`; RocksDB copies what it needs from it.
@safe
final class RocksOptions: @unchecked Sendable {
    // SAFETY: created by init, freed by deinit, only read in between.
    let pointer: OpaquePointer
    let isDirect: Bool
    let creates: Bool
    // ChecksumType::kXXH3. Debian's build computes CRC32C, the default, in software: a third of the reading speed.
    private static let xxh3 = 4

    /// - Parameters:
    ///   - readsDirectly: bypass the page cache for reads; the file system must accept O_DIRECT.
    ///   - creates: make the database; only ever for a directory known to be empty, because RocksDB would otherwise
    ///     answer a lost CURRENT file with a silent empty database.
    ///   - manifestByteCountMax: bytes after which the manifest is written afresh.
    ///   - openFileCountMax: tables kept open, -1 for all.
    init(readsDirectly: Bool, creates: Bool, manifestByteCountMax: Int, openFileCountMax: Int32) {
        isDirect = readsDirectly
        self.creates = creates
        unsafe pointer = rocksdb_options_create()
        let table = unsafe rocksdb_block_based_options_create()
        defer { unsafe rocksdb_block_based_options_destroy(table) }
        unsafe rocksdb_block_based_options_set_format_version(table, 5)
        unsafe rocksdb_block_based_options_set_checksum(table, CChar(Self.xxh3))
        unsafe rocksdb_block_based_options_set_block_size(table, 16 << 10)
        unsafe rocksdb_block_based_options_set_no_block_cache(table, 1)
        unsafe rocksdb_options_set_block_based_table_factory(pointer, table)

        unsafe larder_options_silence(pointer)
        unsafe larder_options_fix_errors(pointer)
        unsafe rocksdb_options_set_create_if_missing(pointer, creates ? 1 : 0)
        unsafe rocksdb_options_set_paranoid_checks(pointer, 0)
        unsafe rocksdb_options_set_compression(pointer, CInt(rocksdb_no_compression))
        unsafe rocksdb_options_set_use_direct_reads(pointer, readsDirectly ? 1 : 0)
        unsafe rocksdb_options_set_max_open_files(pointer, openFileCountMax)
        // Tables are never compacted, and a full level never slows a writer.
        unsafe rocksdb_options_set_disable_auto_compactions(pointer, 1)
        unsafe rocksdb_options_set_level0_file_num_compaction_trigger(pointer, 1 << 30)
        unsafe rocksdb_options_set_level0_slowdown_writes_trigger(pointer, 1 << 30)
        unsafe rocksdb_options_set_level0_stop_writes_trigger(pointer, 1 << 30)
        unsafe rocksdb_options_set_soft_pending_compaction_bytes_limit(pointer, 0)
        unsafe rocksdb_options_set_hard_pending_compaction_bytes_limit(pointer, 0)
        // Nothing is ever written through a memtable or the log.
        unsafe rocksdb_options_set_write_buffer_size(pointer, 64 << 10)
        unsafe rocksdb_options_set_max_background_jobs(pointer, 1)
        unsafe rocksdb_options_set_stats_dump_period_sec(pointer, 0)
        unsafe rocksdb_options_set_stats_persist_period_sec(pointer, 0)
        unsafe rocksdb_options_set_skip_stats_update_on_db_open(pointer, 1)
        unsafe rocksdb_options_set_max_file_opening_threads(pointer, 4)
        unsafe rocksdb_options_set_max_manifest_file_size(pointer, manifestByteCountMax)
        unsafe rocksdb_options_set_manifest_preallocation_size(pointer, 64 << 10)
    }

    deinit { unsafe rocksdb_options_destroy(pointer) }
}
