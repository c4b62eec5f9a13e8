// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Every change that an application of a role has committed, wherever it was served: what a region must hold follows
/// from its history of terms and its committed sequence, for (term, sequence) names one change and no other.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "role_region.hpp"

namespace understudy::sim {

struct Change {
  std::uint8_t table = 0;
  std::uint8_t key = 0;
  bool erases = false;
  bool ends_transaction = true;
  std::uint64_t digest = 0;  ///< of the value
};

[[nodiscard]] std::uint64_t digest_of(shm::Bytes value);

class Ledger {
 public:
  void add(unsigned store, Term term, Sequence sequence, const Change& change);
  [[nodiscard]] const Change* find(unsigned store, Term term, Sequence sequence) const;

  /// Nothing: every record of every table is there as its last change left it, and no other, and the last transaction
  /// is whole. A copy that is being synced is no copy yet: nothing too.
  [[nodiscard]] std::optional<std::string> what_is_wrong(const RoleRegion& region) const;
  /// The same of the last transaction alone.
  [[nodiscard]] std::optional<std::string> is_torn(const RoleRegion& region) const;

 private:
  struct Log {
    std::uint64_t first = 0;
    std::vector<Change> changes;
  };
  [[nodiscard]] std::optional<std::string> compare(const shm::Store& store, unsigned index) const;
  [[nodiscard]] std::optional<std::string> torn(const shm::Store& store, unsigned index) const;

  std::array<std::map<Term, Log>, kStores> logs_;
};

}  // namespace understudy::sim
