#include "CRocksDB.h"

#include <memory>

#include <rocksdb/listener.h>
#include <rocksdb/options.h>

// As RocksDB's db/c.cc defines it; the C interface only declares it.
struct rocksdb_options_t {
    rocksdb::Options rep;
};

namespace {

class RecoveryRefuser final : public rocksdb::EventListener {
public:
    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool *recovers) override {
        *recovers = false;
    }
};

} // namespace

extern "C" void larder_options_fix_errors(rocksdb_options_t *options) {
    options->rep.listeners.push_back(std::make_shared<RecoveryRefuser>());
    options->rep.max_bgerror_resume_count = 0;
}
