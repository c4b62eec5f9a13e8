// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Records as keys of hash tables (they have no padding).

#include <cstring>
#include <functional>
#include <string_view>

#include "understudy/net/records.hpp"

namespace understudy::net {

template <class Record>
struct RecordHash {
  std::size_t operator()(const Record& record) const {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&record), sizeof record});
  }
};
template <class Record>
struct RecordEqual {
  bool operator()(const Record& a, const Record& b) const { return std::memcmp(&a, &b, sizeof a) == 0; }
};

}  // namespace understudy::net
