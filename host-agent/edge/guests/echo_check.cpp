// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/echo_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "understudy/shm/region.hpp"

namespace understudy::host {
namespace {

/// A guest's text in a message: short, one line.
std::string quoted(const std::string& text) {
  constexpr std::size_t most = 240;
  std::string plain = text.substr(0, most);
  std::replace_if(
      plain.begin(), plain.end(), [](unsigned char letter) { return letter < ' ' || letter > '~'; }, '?');
  return plain;
}

std::string hex(std::uint64_t value) {
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

Error other_bytes(const GuestRecord& record, const std::string& what) {
  return failure("mirror-" + record.role + " does not share the region file " + record.region_path +
                     " with this host: " + what + "; it is not used, since it could not hand over what it holds",
                 Errc::Refused);
}

}  // namespace

Status EchoCheck::ask(const GuestRecord& record) {
  echo_.reset();
  auto echo = shm::Echo::open(record.region_path, record.region_bytes,
                              shm::region_offset(record.region_path, record.region_bytes));
  if (!echo) { return other_bytes(record, echo.error().message); }
  echo_.emplace(*std::move(echo));
  said_ = shm::Echo::make_nonce();
  echo_->say(shm::Echo::Side::Host, said_);
  return {};
}

Status EchoCheck::check(const GuestRecord& record, const link::guest::Echoed& echoed) const {
  if (!echo_) { return other_bytes(record, "it answers what was not asked"); }
  if (!echoed.problem.empty()) { return other_bytes(record, "it says: " + quoted(echoed.problem)); }
  if (echoed.heard != said_) {
    return other_bytes(record, "the host wrote " + hex(said_) + ", the guest reads " + hex(echoed.heard) +
                                   "; was the file replaced or removed while its QEMU ran? Start the mirror again");
  }
  const auto heard = echo_->hear(shm::Echo::Side::Guest);
  if (heard != echoed.said) {
    return other_bytes(record, "the guest wrote " + hex(echoed.said) + ", the host reads " + hex(heard) +
                                   "; the guest's mapping is private or write-combining");
  }
  return {};
}

std::optional<std::string> slow_memory(const GuestRecord& record, const link::guest::Hello& hello) {
  const bool usable = std::isfinite(hello.load_ns) && std::isfinite(hello.private_load_ns) && hello.load_ns > 0 &&
                      hello.private_load_ns > 0;
  if (!usable || hello.load_ns / hello.private_load_ns <= slow_load_ratio) { return std::nullopt; }
  std::array<char, 64> ratio{};
  (void)std::snprintf(ratio.data(), ratio.size(), "%.0f times", std::min(hello.load_ns / hello.private_load_ns, 1e9));
  return "mirror-" + record.role + ": its region (" + quoted(hello.memory) + ") is slow: a load from it takes " +
         ratio.data() +
         " as long as one from the guest's own memory, so the guest does not cache it (AMD, or Intel with a "
         "non-coherent VFIO device). State stays right, but the role is slow on this mirror and may lag behind; write "
         "memory = \"nvdimm\" under [mirrors] of this blade's blade.toml, restart its host-agent and let the mirror "
         "start again";
}

}  // namespace understudy::host
