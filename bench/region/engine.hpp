// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What is measured: something that holds records. A call works on a stretch of the work, so that no virtual call lies
/// on the way of a single record. Calls throw std::runtime_error: a benchmark that cannot run says so and ends.

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "workload.hpp"

namespace understudy::bench {

/// A part of the work: records first .. first + count - 1.
struct Stretch {
  const Work& work;
  std::size_t first = 0;
  std::size_t count = 0;

  /// Calls `each(stretch)` for every `batch` records.
  template <class Each>
  void in_batches(const Each& each) const {
    for (std::size_t done = 0; done < count; done += batch) {
      each(Stretch{work, first + done, std::min(batch, count - done)});
    }
  }
  template <class Each>
  void for_each(const Each& each) const {
    for (std::size_t i = first; i < first + count; ++i) { each(work.key(i), work.value(i)); }
  }
  /// Calls `each(key that goes, key that comes, its value)` for as many records of `fresh` beside these.
  template <class Each>
  void for_each_beside(const Stretch& fresh, const Each& each) const {
    for (std::size_t i = 0; i < count; ++i) {
      each(work.key(first + i), fresh.work.key(fresh.first + i), fresh.work.value(fresh.first + i));
    }
  }
};

struct Memory {
  double bytes = 0;          ///< that the records take, with the empty places between them
  double mapping_bytes = 0;  ///< 0, or the whole mapping, where that is another size
};

enum class Operation {
  Insert,
  InsertMany,
  Update,
  UpdateMany,
  UpdateBatched,
  Get,
  GetBatched,
  Scan,
  Attach,
  JournalRead,
  Churn
};

class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  virtual void insert(const Stretch& stretch) = 0;
  virtual void update(const Stretch& stretch) = 0;          ///< each record for itself
  virtual void update_batched(const Stretch& stretch) = 0;  ///< `batch` together
  /// Inserts or updates, each committed by itself, `batch` with one call.
  virtual void put_many(const Stretch& /*stretch*/) { throw std::runtime_error("has no such call"); }
  /// The first record of `old` is erased and the first of `fresh` is put, and so on, each for itself.
  virtual void churn(const Stretch& old, const Stretch& fresh) = 0;
  /// How many were found, with the value that belongs to the key.
  virtual std::size_t get(const Stretch& stretch) = 0;
  virtual std::size_t get_batched(const Stretch& stretch) = 0;
  virtual std::size_t scan() = 0;  ///< how many records there are
  /// Opens what holds the records once more and gets `key`; true when it was found. Seconds, in `seconds`.
  virtual bool attach(Bytes /*key*/, double& /*seconds*/) { return false; }
  /// Reads the journal's last `bytes` at most; how many bytes it was.
  virtual std::size_t journal_read(std::size_t /*bytes*/, double& /*seconds*/) { return 0; }
  [[nodiscard]] virtual Memory memory() const = 0;
};

struct EngineSettings {
  std::size_t key_bytes = 8;
  std::size_t records = 0;
  std::string path;          ///< a name of its own for files, in memory
  std::string redis_socket;  ///< Redis only
};

std::unique_ptr<Engine> make_region(const EngineSettings& settings);
std::unique_ptr<Engine> make_flat_map(const EngineSettings& settings);
std::unique_ptr<Engine> make_interprocess(const EngineSettings& settings);
std::unique_ptr<Engine> make_lmdb(const EngineSettings& settings);
std::unique_ptr<Engine> make_redis(const EngineSettings& settings);

}  // namespace understudy::bench
