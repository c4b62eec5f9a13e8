// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A writer of a store of any schema, frozen after every single store to shared memory. After each of them
///
///   a fresh process opens the file              check_image()
///   ... and is the next writer of a copy of it  check_next_writer(); `deep`: which is frozen after each store itself
///   one that stands where the ring comes round  must be told that it was lapped, or get what was there
///
/// Bulk payload (the words of a large value) may be thinned out: every `payload_step`th of its stores is looked at, and
/// every other store always.

#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "every_prefix.hpp"
#include "image_check.hpp"
#include "store_model.hpp"
#include "suspended.hpp"

namespace understudy::shm::crash {

class Prefixes {
 public:
  struct Options {
    std::uint64_t payload_step = 1;
    bool deep = false;
  };
  /// `used_bytes`: of the region, so many are copied for the next writer; 0: all that the schema takes.
  Prefixes(const RegionSchema& schema, std::uint64_t region_bytes, Options options, std::uint64_t used_bytes = 0);
  ~Prefixes();
  Prefixes(const Prefixes&) = delete;
  Prefixes& operator=(const Prefixes&) = delete;

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] StoreWriter& writer() { return *writer_; }
  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] std::uint64_t images() const { return images_; }
  /// Looks of readers that stood where the ring came round: told so, and got what was there.
  [[nodiscard]] std::uint64_t lapped() const { return lapped_; }
  [[nodiscard]] std::uint64_t not_yet_lapped() const { return not_yet_lapped_; }
  Pools pools;
  Violations violations;
  /// Breaks what the next writers do until they are the writers: called with where their file is mapped.
  std::function<void(const std::uint64_t*)> break_taking_over;

  /// Makes the edits with every store looked at; or has `change` make them.
  void run(const Edits& edits);
  void run(const Edits& edits, const std::function<Status()>& change);
  /// The same of as many commits as there are edits, one after the other.
  void run_one_by_one(const Edits& edits, const std::function<Status()>& change);
  /// The same without a look at what is in between.
  void skip(const Edits& edits);
  void skip(const Edits& edits, const std::function<Status()>& change);
  /// Rebuilds a table, looked at.
  void rebuild(TableIndex table);
  /// So many readers go to the present end and stand there until the ring comes round.
  void stand_here(std::size_t readers);
  [[nodiscard]] Image image() const { return {pools, ring_bytes_}; }
  void copy(const std::string& from, const std::string& to) const;

 private:
  void run_as(const std::vector<Edits>& commits, const std::function<Status()>& change);
  /// The commit point that was found; nothing: none was looked for.
  std::optional<std::uint64_t> freeze(const Model& before, const Model& then, const Edits& edits);
  void look(const Model& before, const Model& then, const Edits& edits, Told& tell);
  [[nodiscard]] std::function<void(bool)> taking_over() const;
  void freeze_recovery(const Model& found, const Edits& edits, Told& tell);
  void look_where_it_comes_round(const Model& found, std::uint64_t end_max);

  struct Standing {
    JournalReader reader;
    std::uint64_t position;
  };

  Options options_;
  std::uint64_t region_bytes_;
  std::uint64_t used_bytes_;
  std::uint64_t ring_bytes_;
  ImageFile file_{"wide"};
  ImageFile copy_{"wide-copy"};
  ImageFile second_copy_{"wide-second"};
  std::optional<Region> region_;
  std::optional<Store> store_;
  std::optional<StoreWriter> writer_;
  Model model_;
  std::vector<Standing> standing_;
  std::uint64_t images_ = 0;
  std::uint64_t stores_ = 0;
  std::uint64_t lapped_ = 0;
  std::uint64_t not_yet_lapped_ = 0;
};

/// So much of a workload, or every how manieth store of payload, ordinarily and in the long run.
inline std::uint64_t amount(std::uint64_t ordinary, std::uint64_t full) {
  return std::getenv("UNDERSTUDY_FULL") != nullptr ? full : ordinary;
}

}  // namespace understudy::shm::crash
