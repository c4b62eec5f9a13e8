// SPDX-License-Identifier: Apache-2.0
#include "map.hpp"

#include <algorithm>

namespace arena_map {

namespace us = understudy;
namespace bip = boost::interprocess;

us::Result<std::unique_ptr<Map>> Map::attach(us::shm::StoreWriter writer) {
  std::unique_ptr<Map> map(new Map(std::move(writer)));
  auto arena = us::shm::Arena::attach(*map->writer_);
  if (!arena) { return arena.error(); }
  map->arena_.emplace(std::move(arena).value());
  if (auto opened = map->open_heap(); !opened) { return opened.error(); }
  return map;
}

us::Status Map::open_heap() {
  const auto memory = arena_->memory();
  try {
    if (arena_->empty()) {
      heap_.emplace(bip::create_only, memory.data(), memory.size());
    } else {
      heap_.emplace(bip::open_only, memory.data(), memory.size());
    }
    map_ = heap_->find_or_construct<Items>("map")(std::less<>(), heap_->get_segment_manager());
    changes_ = heap_->find_or_construct<std::uint64_t>("changes")(0);
  } catch (const bip::interprocess_exception& error) {
    return us::failure(std::string("the arena holds no heap: ") + error.what(), us::Errc::Damaged);
  }
  return {};
}

Map::Text Map::text(std::string_view from) {
  Text to{};
  std::ranges::copy(from, to.begin());
  return to;
}

us::Status Map::put(std::string_view key, std::string_view value) {
  if (key.empty() || key.size() > max_text_bytes || value.size() > max_text_bytes) {
    return us::failure("a key has 1 to 63 bytes, a value at most 63", us::Errc::BadInput);
  }
  try {
    map_->insert_or_assign(text(key), text(value));
  } catch (const bip::bad_alloc&) { return us::failure("the arena is full", us::Errc::Full); }
  ++*changes_;
  return {};
}

std::optional<std::string> Map::get(std::string_view key) const {
  if (key.size() > max_text_bytes) { return std::nullopt; }
  const auto found = map_->find(text(key));
  if (found == map_->end()) { return std::nullopt; }
  return std::string(found->second.data());
}

bool Map::erase(std::string_view key) {
  if (key.size() > max_text_bytes || map_->erase(text(key)) == 0) { return false; }
  ++*changes_;
  return true;
}

std::optional<std::string> Map::common_value() const {
  if (map_->empty()) { return std::nullopt; }
  const auto& first = map_->begin()->second;
  if (!std::ranges::all_of(*map_, [&](const auto& item) { return item.second == first; })) { return std::nullopt; }
  return std::string(first.data());
}

us::Result<us::shm::StoreWriter> Map::detach() {
  if (auto at = arena_->detach(); !at) { return at.error(); }
  heap_.reset();
  arena_.reset();
  return std::move(*writer_);
}

}  // namespace arena_map
