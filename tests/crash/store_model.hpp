// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A store of any schema as it should be, and what a fresh process must find of it: the tables, one key at a time and
/// many, the counts, and of the journal whatever is asked for, exactly, or the word that it is gone.
///
///   edits ──> Model (tables, which change each sequence was, where its entry lies) ──> check_image(file)
///
/// For workloads whose journal goes round its ring; image_check.hpp is the smaller one for those that stay within it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "octets.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm::crash {

/// A change of one record; without a value an erase.
struct Edit {
  TableIndex table = 0;
  Octets key;
  std::optional<Octets> value;
};
using Edits = std::vector<Edit>;

/// What the journal must say of one sequence, and where.
struct JournalLine {
  std::size_t digest = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Model {
  std::uint64_t committed = 0;
  std::uint64_t purged = 0;  ///< the last deletion
  std::vector<std::map<Octets, Octets>> tables;
  std::vector<JournalLine> log;  ///< of the changes 1 to `committed`, of one journal that began at 0

  [[nodiscard]] std::uint64_t end() const { return log.empty() ? 0 : log.back().end; }
  void apply(const Edits& edits);
  [[nodiscard]] Model after(const Edits& edits) const;
};

/// The keys that a workload uses, table by table.
using Pools = std::vector<std::vector<Octets>>;
/// Keys of this table whose home slots are next to each other, so that they share runs of slots and, of several words,
/// words: `count` of them. `make` gives key number n.
std::vector<Octets> neighbours(const std::string& path, TableIndex table, std::size_t count,
                               const std::function<Octets(std::uint64_t)>& make);

/// So many bytes that follow from the seed.
Octets value_bytes(std::size_t bytes, std::uint64_t seed);

/// A transaction, or a change by itself.
Status write(StoreWriter& writer, const Edits& edits);

/// Random changes that are possible in `model`, at most `most`. `room`: how many records each table may have.
/// `bytes_of(table, random)`: how large a value is.
Edits random_edits(std::mt19937_64& random, const Model& model, const Pools& pools, std::size_t most,
                   const std::vector<std::size_t>& room,
                   const std::function<std::size_t(TableIndex, std::uint64_t)>& bytes_of);

/// What a look at an image found wrong, as text.
using Violations = std::vector<std::string>;

struct Image {
  const Pools& pools;
  std::uint64_t ring_bytes;
};

/// A fresh process opens the file: it must be `before` or `then`, as the commit point says. Which one; null: neither.
const Model* check_image(const std::string& path, const Model& before, const Model& then, const Image& image,
                         Violations& violations);

/// Reads what `follower` has not read: whole transactions as the model has them, or Lapped where they may be gone.
/// Where it went on to; nothing: lapped, or wrong.
std::optional<std::uint64_t> check_follower(JournalReader& follower, const Model& model, const Image& image,
                                            std::uint64_t end_max, std::size_t max_bytes, Violations& violations);

/// The next writer takes over a copy of the image, finds the same, writes the keys in flight again the other way round
/// and others, and what it leaves is that. Nothing in flight: a rebuild was, which it does again. `taking_over`: told
/// when it begins to take over and when it has done so; what it leaves is looked at after each of its changes then.
void check_next_writer(const std::string& path, const Model& found, const Edits& in_flight, const Image& image,
                       Violations& violations, const std::function<void(bool)>& taking_over = {});

}  // namespace understudy::shm::crash
