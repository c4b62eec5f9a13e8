// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Steps of the publication order broken on purpose, one at a time: the enumeration of prefixes must notice, at an
/// image, and with the step in its place it finds nothing.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "image_check.hpp"
#include "prefixes.hpp"
#include "store_points.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {

using layout::StoreControl;

/// Where the parts of a region's first store are mapped for writing.
struct Parts {
  const std::uint64_t* base;
  layout::RegionHeader header{};

  explicit Parts(const std::string& path) : Parts(mapped_at(path)) {}
  explicit Parts(const std::uint64_t* mapped) : base(mapped) { std::memcpy(&header, base, sizeof header); }

  [[nodiscard]] const std::uint64_t* at(std::uint64_t byte) const { return base + byte / sizeof *base; }
  [[nodiscard]] const std::uint64_t* control(std::size_t offset) const {
    return at(header.stores[0].control_offset + offset);
  }
  [[nodiscard]] const std::uint64_t* committed() const { return control(offsetof(StoreControl, commit)); }
  [[nodiscard]] const std::uint64_t* reserved_end() const { return committed() + 2; }
  [[nodiscard]] const std::uint64_t* purged() const { return committed() + 3; }
  [[nodiscard]] const layout::TableDescription& table(TableIndex index) const { return header.stores[0].tables[index]; }
  [[nodiscard]] std::uint64_t key_words(TableIndex index) const { return layout::words_of(table(index).key_bytes); }
  [[nodiscard]] std::uint64_t slot_words(TableIndex index) const {
    const auto& described = table(index);
    return layout::slot_words(described.key_bytes, described.kind == layout::table_blob ? 8 : described.value_bytes);
  }
  /// Which word of a slot of that table it is; nothing: of none.
  [[nodiscard]] std::optional<std::uint64_t> word_of_slot(TableIndex index, const std::uint64_t* word) const {
    const auto* first = at(table(index).slots_offset);
    if (word < first || word >= first + table(index).slot_count * slot_words(index)) { return std::nullopt; }
    return static_cast<std::uint64_t>(word - first) % slot_words(index);
  }
};

using Held = std::function<bool(const std::uint64_t*)>;
inline Held within(const std::uint64_t* first, std::size_t words) {
  return [=](const std::uint64_t* at) { return at >= first && at < first + words; };
}
inline Held only(const std::uint64_t* word) { return within(word, 1); }

/// Was it an image that told, not only the end of the change?
inline bool noticed_at_an_image(const Violations& violations) {
  return std::ranges::any_of(violations,
                             [](const std::string& text) { return text.find("(image") != std::string::npos; });
}

enum class Broken { Not, Yes };

class AnOrder : public testing::TestWithParam<Broken> {
 protected:
  [[nodiscard]] static bool broken() { return GetParam() == Broken::Yes; }
  static void breaks(points::Swap how) {
    if (broken()) { points::swap = std::move(how); }
  }
  static void expect_noticed(const Violations& violations) {
    points::swap = {};
    points::held_back.clear();
    if (broken()) {
      EXPECT_TRUE(noticed_at_an_image(violations)) << "not noticed; " << first_of(violations);
    } else {
      EXPECT_TRUE(violations.empty()) << first_of(violations);
    }
  }
};

}  // namespace understudy::shm::crash
