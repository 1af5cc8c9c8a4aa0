#ifndef LARDER_CROCKSDB_SHIM_H
#define LARDER_CROCKSDB_SHIM_H
#include <rocksdb/c.h>
#endif
