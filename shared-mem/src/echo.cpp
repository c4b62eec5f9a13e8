// SPDX-License-Identifier: Apache-2.0
#include "understudy/shm/echo.hpp"

#include <sys/random.h>

#include <chrono>

#include "mapping.hpp"
#include "understudy/shm/layout.hpp"
#include "words.hpp"

namespace understudy::shm {

namespace {
Word* word_of(const Mapping& mapping, Echo::Side side) {
  auto* line = reinterpret_cast<layout::EchoLine*>(mapping.address() + layout::echo_offset);
  return side == Echo::Side::Host ? &line->host : &line->guest;
}
}  // namespace

Result<Echo> Echo::open(const std::string& path, std::uint64_t size_bytes, std::uint64_t offset) {
  if (size_bytes < layout::region_bytes_min) { return failure(path + " is smaller than any region", Errc::BadInput); }
  auto source = open_source(path, Access::ReadWrite, size_bytes, offset);
  if (!source) { return source.error(); }
  if (auto size = size_to_map(*source); !size) { return size.error(); }
  auto mapping = map_source(*source, Access::ReadWrite, size_bytes);
  if (!mapping) { return mapping.error(); }
  return Echo(std::shared_ptr<Mapping>(std::move(*mapping)));
}

void Echo::say(Side own, std::uint64_t nonce) { words::publish(word_of(*mapping_, own), nonce); }

std::uint64_t Echo::hear(Side other) const { return words::load_acquire(word_of(*mapping_, other)); }

std::uint64_t Echo::make_nonce() {
  std::uint64_t nonce = 0;
  if (::getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) {
    nonce = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return nonce | 1;
}

}  // namespace understudy::shm
