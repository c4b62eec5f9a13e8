// SPDX-License-Identifier: Apache-2.0
// The smallest application: a counter that goes on where it was, also after kill -9, and on another blade when an
// agent runs it. Run it twice: ./counter; ./counter
#include <poll.h>

#include <cstdint>
#include <iostream>
#include <optional>

#include "understudy/app/lifecycle.hpp"

namespace us = understudy;

int main() {
  const us::shm::StoreSchema schema{"counter", {{"counters", 8, 8, 16}}, 64 * 1024};
  auto opened = us::app::Lifecycle::from_environment({"/dev/shm/understudy-counter", schema, 0});
  if (!opened) {
    std::cerr << opened.error().message << '\n';
    return 2;
  }
  auto lifecycle = std::move(opened).value();
  std::optional<us::shm::StoreWriter> writer;  // while this process is the active one
  bool stop = false;
  const auto stand_by = [&] { writer.reset(); };
  const auto activate = [&](us::Term term) {
    stand_by();  // one writer at a time, also when it was us
    const auto store = lifecycle.open_store(us::shm::Access::ReadWrite);
    auto became = store ? store.value().become_writer(term) : us::Result<us::shm::StoreWriter>(store.error());
    if (!became) { return lifecycle.failed(became.error().message); }
    writer.emplace(std::move(became).value());
    lifecycle.active(term);
  };
  lifecycle.set_callbacks({activate, {}, stand_by, [&] { stop = true; }});
  lifecycle.ready();

  const std::uint64_t key = 1;
  while (!stop) {
    pollfd agent{lifecycle.fd(), POLLIN, 0};
    if (::poll(&agent, 1, 1000) > 0) { lifecycle.dispatch(); }
    if (!writer || lifecycle.duty() != us::app::Duty::Active) {
      if (!lifecycle.has_agent()) { return 1; }  // alone and not active: another one runs
      continue;
    }
    std::uint64_t count = 0;  // stays 0 when there is no record yet
    static_cast<void>(writer->store().get(0, us::shm::as_bytes_of(key), std::as_writable_bytes(std::span(&count, 1))));
    ++count;
    const auto put = writer->put(0, us::shm::as_bytes_of(key), us::shm::as_bytes_of(count));
    if (put) { std::cout << count << std::endl; }
    if (!put) { stand_by(), lifecycle.lost_writer(put.error().message); }
  }
}
