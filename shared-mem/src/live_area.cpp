// SPDX-License-Identifier: Apache-2.0
#include "live_area.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace understudy::shm {
namespace {

constexpr std::array<std::byte, layout::page_bytes> zeros{};

bool same(std::span<const std::byte> page, std::span<const std::byte> copy) {
  return std::memcmp(page.data(), copy.empty() ? zeros.data() : copy.data(), page.size()) == 0;
}

}  // namespace

std::span<const std::byte> LiveArea::copy_of(std::uint64_t index, std::uint64_t limit, std::uint64_t& sequence) const {
  const Word* at = table_.slot(index);
  const Head seen = Table::head(at);
  const bool older = seen.sequence() > limit;
  const bool is_page = (older ? seen.older_kind() : seen.newest_kind()) == layout::kind_live;
  sequence = is_page ? std::min(seen.sequence(), limit) : 0;
  if (!is_page) { return {}; }
  return std::as_bytes(std::span(table_.value_of(at, seen.newest() ^ static_cast<unsigned>(older)), page_words));
}

bool LiveArea::is_checkpointed(std::uint64_t index, std::uint64_t limit) const {
  std::uint64_t sequence = 0;
  return same(page(index), copy_of(index, limit, sequence));
}

void LiveArea::restore(std::uint64_t limit) const {
  const Word up_to = words::load_acquire(&line_->live_up_to);
  const bool known = up_to <= limit;  // more than was ever committed is no knowledge either
  for (std::uint64_t index = 0; index < page_count(); ++index) {
    std::uint64_t sequence = 0;
    const auto copy = copy_of(index, limit, sequence);
    if (known ? sequence <= up_to : same(page(index), copy)) { continue; }
    bring(index, copy);
  }
}

void LiveArea::bring(std::uint64_t index, std::span<const std::byte> value) const {
  words::store_bytes(memory_ + index * page_words, value.empty() ? std::span<const std::byte>(zeros) : value);
}

}  // namespace understudy::shm
