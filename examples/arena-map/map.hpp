// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A boost::interprocess::map in the arena of a store, and a counter beside it: what an application that keeps
/// containers of its own has to do, and no more.
///
///   Map::attach(writer) ──► put, erase, fill ... ──► checkpoint() ──► ... ──► detach()
///
/// Invariant: every change of the map counts in `changes`, so after a takeover the two tell whether they belong
/// together.

#include <array>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "understudy/shm/arena.hpp"

namespace arena_map {

inline constexpr std::uint64_t default_arena_bytes = 4 << 20;
inline constexpr std::size_t max_text_bytes = 63;

/// The store: nothing but an arena.
inline understudy::shm::StoreSchema store_schema(std::uint64_t arena_bytes) {
  return understudy::shm::with_arena({"map", {}, 64 << 10}, arena_bytes);
}

class Map {
 public:
  /// The map as it was at the last checkpoint, or a new one. `writer` is kept.
  static understudy::Result<std::unique_ptr<Map>> attach(understudy::shm::StoreWriter writer);
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  /// Full: the arena has no room for it. BadInput: longer than max_text_bytes.
  understudy::Status put(std::string_view key, std::string_view value);
  [[nodiscard]] std::optional<std::string> get(std::string_view key) const;
  bool erase(std::string_view key);  ///< false: there was none
  [[nodiscard]] std::uint64_t size() const { return map_->size(); }
  [[nodiscard]] std::uint64_t changes() const { return *changes_; }
  /// The one value that all keys have; nothing when they differ or there is no key.
  [[nodiscard]] std::optional<std::string> common_value() const;

  understudy::Result<understudy::Sequence> checkpoint() { return arena_->checkpoint(); }
  /// The last checkpoint; the map is not touched any more, not even read: this object is of no further use. Gives the
  /// writer back.
  understudy::Result<understudy::shm::StoreWriter> detach();
  [[nodiscard]] const understudy::shm::Store& store() const { return writer_->store(); }
  [[nodiscard]] std::string method() const { return arena_->method(); }

 private:
  using Heap = boost::interprocess::managed_external_buffer;
  using Text = std::array<char, max_text_bytes + 1>;  ///< zero-terminated, zeros behind
  using Item = std::pair<const Text, Text>;
  using Items =
      boost::interprocess::map<Text, Text, std::less<>, boost::interprocess::allocator<Item, Heap::segment_manager>>;

  explicit Map(understudy::shm::StoreWriter writer) : writer_(std::move(writer)) {}
  understudy::Status open_heap();
  static Text text(std::string_view from);

  std::optional<understudy::shm::StoreWriter> writer_;
  std::optional<understudy::shm::Arena> arena_;
  std::optional<Heap> heap_;
  Items* map_ = nullptr;
  std::uint64_t* changes_ = nullptr;
};

}  // namespace arena_map
