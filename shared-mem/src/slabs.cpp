// SPDX-License-Identifier: Apache-2.0
#include "slabs.hpp"

#include "understudy/shm/while_busy.hpp"

namespace understudy::shm {

std::optional<std::uint64_t> SlabPool::take() {
  if (free_.empty()) { return std::nullopt; }
  const std::uint64_t index = free_.front();
  free_.pop_front();
  used_[index] = true;
  return index;
}

void SlabPool::release(Word ref) {
  const std::uint64_t index = Slabs::index_of(ref);
  if (!known_ || index >= used_.size() || !used_[index]) { return; }  // hostile slots may name one twice
  used_[index] = false;
  free_.push_back(static_cast<std::uint32_t>(index));
}

void SlabPool::prepare(const Table& table, const Slabs& slabs) {
  if (known_) { return; }
  used_.assign(slabs.count(), false);
  free_.clear();
  WhileBusy::Steps walk;
  for (std::uint64_t index = 0; index < table.slot_count(); ++index) {
    walk.step();
    const Word* at = table.slot(index);
    const Head seen = Table::head(at);
    if (!seen.is_live()) { continue; }
    const Word ref = words::load(table.value_of(at, seen.newest()));
    if (slabs.holds(ref)) { used_[Slabs::index_of(ref)] = true; }
  }
  for (std::uint64_t index = 0; index < slabs.count(); ++index) {
    if (!used_[index]) { free_.push_back(static_cast<std::uint32_t>(index)); }
  }
  known_ = true;
}

}  // namespace understudy::shm
