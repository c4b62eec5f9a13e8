// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Do guest and host have the same bytes before them (rule 24)? Each writes a nonce that the other must read back:
///
///   host: say(nonce h) ── "echo" ──► guest: hears h, say(nonce g)
///   host: hears g      ◄── (h, g) ──
///
/// Only the words travel through the region; what was seen is told by another way (the guest channel). The line is in
/// the region's header area, beside everything that a store uses, so it may be asked at any time.

#include <cstdint>
#include <memory>
#include <string>

#include "understudy/common/result.hpp"

namespace understudy::shm {

class Mapping;

class Echo {
 public:
  enum class Side : std::uint8_t { Host, Guest };

  /// Maps the region's memory as Region::open does; it need not hold a region yet.
  static Result<Echo> open(const std::string& path, std::uint64_t size_bytes, std::uint64_t offset = 0);

  void say(Side own, std::uint64_t nonce);
  [[nodiscard]] std::uint64_t hear(Side other) const;

  /// Random, never 0 (which is what fresh memory says).
  static std::uint64_t make_nonce();

 private:
  explicit Echo(std::shared_ptr<Mapping> mapping) : mapping_(std::move(mapping)) {}
  std::shared_ptr<Mapping> mapping_;
};

}  // namespace understudy::shm
