// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a kernel that follows a store has and the store has not: records that were erased while nobody followed. They
/// would live on beside the role's state, and be taken for it when this place begins to write (rule 22).

#include <vector>

#include "place/role_place.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::place {

class Surplus {
 public:
  /// Looks at the kernel of the calling thread's namespace, which is the place's. What an installer still holds back
  /// must have been flushed. The configured routes are the place's own and no surplus.
  static Result<Surplus> find(const RolePlace& place, const shm::Store& net_store);

  /// To be given to an installer; they show into this.
  [[nodiscard]] std::vector<shm::JournalEntry> erasures() const;

 private:
  struct Record {
    shm::TableIndex table;
    std::vector<std::byte> key;
  };
  std::vector<Record> records_;
};

}  // namespace understudy::place
