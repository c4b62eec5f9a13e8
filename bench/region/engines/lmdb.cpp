// SPDX-License-Identifier: Apache-2.0
/// LMDB on a file in memory, as fast as it goes: MDB_NOSYNC | MDB_WRITEMAP, integer keys where keys are 8 bytes. Its
/// readers see whole transactions and never wait; a writer that dies leaves a good file.
#include <lmdb.h>
#include <unistd.h>

#include <cstdint>

#include "engine.hpp"
#include "stopwatch.hpp"

namespace understudy::bench {
namespace {

constexpr unsigned flags = MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NORDAHEAD;

void check(int code, const char* what) {
  if (code != 0) { throw std::runtime_error(std::string("lmdb: ") + what + ": " + mdb_strerror(code)); }
}

MDB_val val(Bytes bytes) { return {bytes.size(), const_cast<std::byte*>(bytes.data())}; }

class Lmdb final : public Engine {
 public:
  explicit Lmdb(const EngineSettings& settings) : settings_(settings) {
    remove_files();
    open();
  }
  ~Lmdb() override {
    close();
    remove_files();
  }

  void insert(const Stretch& stretch) override { update_batched(stretch); }
  void update(const Stretch& stretch) override {
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      put_all(Stretch{stretch.work, i, 1});
    }
  }
  void update_batched(const Stretch& stretch) override {
    stretch.in_batches([this](const Stretch& part) { put_all(part); });
  }
  void churn(const Stretch& old, const Stretch& fresh) override {
    for (std::size_t i = 0; i < old.count; ++i) {
      MDB_txn* txn = nullptr;
      check(mdb_txn_begin(environment_, nullptr, 0, &txn), "mdb_txn_begin");
      MDB_val key = val(old.work.key(old.first + i));
      check(mdb_del(txn, table_, &key, nullptr), "mdb_del");
      check(mdb_txn_commit(txn), "mdb_txn_commit");
      put_all(Stretch{fresh.work, fresh.first + i, 1});
    }
  }
  std::size_t get(const Stretch& stretch) override {
    std::size_t found = 0;
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      check(mdb_txn_renew(reader_), "mdb_txn_renew");
      found += look(stretch.work.key(i));
      mdb_txn_reset(reader_);
    }
    return found;
  }
  std::size_t get_batched(const Stretch& stretch) override {
    std::size_t found = 0;
    stretch.in_batches([&](const Stretch& part) {
      check(mdb_txn_renew(reader_), "mdb_txn_renew");
      for (std::size_t i = part.first; i < part.first + part.count; ++i) { found += look(part.work.key(i)); }
      mdb_txn_reset(reader_);
    });
    return found;
  }
  std::size_t scan() override {
    check(mdb_txn_renew(reader_), "mdb_txn_renew");
    MDB_cursor* cursor = nullptr;
    check(mdb_cursor_open(reader_, table_, &cursor), "mdb_cursor_open");
    std::size_t records = 0;
    MDB_val key;
    MDB_val value;
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
      records += std::size_t{std::memcmp(key.mv_data, value.mv_data, 8) == 0};
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(reader_);
    return records;
  }
  /// One process must not have the same file open twice: what is open is closed first, and stays open afterwards.
  bool attach(Bytes key, double& seconds) override {
    close();
    const Stopwatch watch;
    open();
    check(mdb_txn_renew(reader_), "mdb_txn_renew");
    const bool found = look(key) == 1;
    seconds = watch.seconds();
    mdb_txn_reset(reader_);
    return found;
  }
  [[nodiscard]] Memory memory() const override {
    MDB_envinfo info{};
    MDB_stat stat{};
    check(mdb_env_info(environment_, &info), "mdb_env_info");
    check(mdb_env_stat(environment_, &stat), "mdb_env_stat");
    return {static_cast<double>((info.me_last_pgno + 1) * stat.ms_psize), 0};
  }

 private:
  void open() {
    check(mdb_env_create(&environment_), "mdb_env_create");
    check(mdb_env_set_mapsize(environment_, settings_.records * 512 + (64 << 20)), "mdb_env_set_mapsize");
    check(mdb_env_open(environment_, settings_.path.c_str(), flags, 0600), "mdb_env_open");
    MDB_txn* first = nullptr;
    check(mdb_txn_begin(environment_, nullptr, 0, &first), "mdb_txn_begin");
    const unsigned integer = settings_.key_bytes == sizeof(std::size_t) ? MDB_INTEGERKEY : 0;
    check(mdb_dbi_open(first, nullptr, integer, &table_), "mdb_dbi_open");
    check(mdb_txn_commit(first), "mdb_txn_commit");
    check(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reader_), "mdb_txn_begin");
    mdb_txn_reset(reader_);
  }
  void close() {
    mdb_txn_abort(reader_);
    mdb_env_close(environment_);
  }
  void remove_files() const {
    ::unlink(settings_.path.c_str());
    ::unlink((settings_.path + "-lock").c_str());
  }
  void put_all(const Stretch& part) {
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(environment_, nullptr, 0, &txn), "mdb_txn_begin");
    part.for_each([&](Bytes key, Bytes value) {
      MDB_val key_val = val(key);
      MDB_val value_val = val(value);
      check(mdb_put(txn, table_, &key_val, &value_val, 0), "mdb_put");
    });
    check(mdb_txn_commit(txn), "mdb_txn_commit");
  }
  std::size_t look(Bytes key) {
    MDB_val key_val = val(key);
    MDB_val value;
    if (mdb_get(reader_, table_, &key_val, &value) != 0) { return 0; }
    std::array<std::byte, value_bytes> held;
    std::memcpy(held.data(), value.mv_data, held.size());
    return belongs(key, held) ? 1 : 0;
  }

  EngineSettings settings_;
  MDB_env* environment_ = nullptr;
  MDB_txn* reader_ = nullptr;
  MDB_dbi table_ = 0;
};

}  // namespace

std::unique_ptr<Engine> make_lmdb(const EngineSettings& settings) { return std::make_unique<Lmdb>(settings); }

}  // namespace understudy::bench
