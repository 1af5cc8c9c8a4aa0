#ifndef LARDER_CROCKSDB_H
#define LARDER_CROCKSDB_H
// RocksDB's C interface, and the one thing it lacks.

#include <rocksdb/c.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Makes a database opened with `options` write no log file of its own.
///
/// Where the library is built with assertions (Debian's is), the second line that cannot be written to that file,
/// because the disk is full or read-only, ends the process.
void larder_options_silence(rocksdb_options_t *options);

#ifdef __cplusplus
}
#endif
#endif
