#include "CRocksDB.h"

#include <cstdarg>
#include <memory>

#include <rocksdb/env.h>

// As RocksDB's db/c.cc defines it; the C interface only declares it.
struct rocksdb_logger_t {
    std::shared_ptr<rocksdb::Logger> rep;
};

namespace {

class SilentLogger final : public rocksdb::Logger {
public:
    SilentLogger() : Logger(rocksdb::InfoLogLevel::HEADER_LEVEL) {}
    using Logger::Logv;
    void Logv(const char *, va_list) override {}

protected:
    rocksdb::Status CloseImpl() override { return rocksdb::Status::OK(); }
};

} // namespace

extern "C" void larder_options_silence(rocksdb_options_t *options) {
    // The call copies the shared pointer.
    rocksdb_logger_t logger{std::make_shared<SilentLogger>()};
    rocksdb_options_set_info_log(options, &logger);
}
