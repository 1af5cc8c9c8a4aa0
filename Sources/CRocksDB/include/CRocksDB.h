#ifndef LARDER_CROCKSDB_H
#define LARDER_CROCKSDB_H
// RocksDB's C interface, and the two things it lacks.

#include <rocksdb/c.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Makes a database opened with `options` write no log file of its own.
///
/// Where the library is built with assertions (Debian's is), the second line that cannot be written to that file,
/// because the disk is full or read-only, ends the process.
void larder_options_silence(rocksdb_options_t *options);

/// Makes a database opened with `options` stay as it is after a failed write, instead of recovering by itself.
///
/// After the recovery from a full disk RocksDB 7.8 goes on believing that it is stopped, by an error that is none: the
/// next table is taken in under file number 0, and where the library is built with assertions, that ends the process.
void larder_options_fix_errors(rocksdb_options_t *options);

#ifdef __cplusplus
}
#endif
#endif
