// SPDX-License-Identifier: Apache-2.0
// The smallest application: a counter that goes on where it was, also after kill -9, and on another blade when an
// agent runs it. Run it twice: ./counter; ./counter. As a role's: ./counter --describe-store prints the lines for
// group.toml.
#include <poll.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "understudy/app/commit_mirrored.hpp"
#include "understudy/app/lifecycle.hpp"

namespace us = understudy;

namespace {

const us::shm::StoreSchema schema{"counter", {{"counters", 8, 8, 16}}, 64 * 1024};
constexpr us::shm::TableIndex counters = 0;
constexpr std::uint64_t key = 1;
constexpr auto mirror_deadline = std::chrono::milliseconds(500);  // meanwhile no order of the agent is heard

/// What to write into group.toml below the [[role]] that this is the application of.
void describe_store() {
  std::cout << "[role.application]\nname = \"counter\"\ncommand = [\""
            << std::filesystem::read_symlink("/proc/self/exe").string() << "\"]\nstore = \"" << schema.name
            << "\"\njournal_kib = " << (schema.journal_bytes >> 10) << "\n";
  for (const auto& table : schema.tables) {
    std::cout << "[[role.application.table]]\nname = \"" << table.name << "\"\nkey_bytes = " << table.key_bytes
              << "\nvalue_bytes = " << table.value_bytes << "\ncapacity = " << table.capacity << "\n";
  }
}

/// One further. Only NotFound means that nothing was counted yet: whoever takes another error for 0 begins at 1 again
/// and writes it over what was there.
us::Result<us::Sequence> count_up(us::shm::StoreWriter& writer, std::uint64_t& count) {
  const auto value = std::as_writable_bytes(std::span(&count, 1));
  const auto got = writer.store().get(counters, us::shm::as_bytes_of(key), value);
  if (!got && got.error().code != us::Errc::NotFound) { return got.error(); }
  count = got ? count + 1 : 1;
  return writer.put(counters, us::shm::as_bytes_of(key), us::shm::as_bytes_of(count));
}

/// A count is told when a mirror holds it too, so that no takeover makes it untold; or there is none, and it says so.
void tell(const us::shm::Store& store, us::Sequence sequence, std::uint64_t count, bool has_agent) {
  const auto waited = us::app::commit_mirrored(store, sequence, mirror_deadline);
  if (waited.answer == us::app::CommitMirrored::Answer::Expired) {
    std::cerr << "not told: " << us::app::describe(waited, store, sequence) << std::endl;
    return;
  }
  const bool exposed = waited.answer == us::app::CommitMirrored::Answer::Exposed && has_agent;
  std::cout << count << (exposed ? " EXPOSED" : "") << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--describe-store") {
    describe_store();
    return 0;
  }
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
    if (!became) {
      std::cerr << "not active: " << became.error().message << std::endl;  // alone nobody else tells it
      return lifecycle.failed(became.error().message);
    }
    writer.emplace(std::move(became).value());
    lifecycle.active(term);
  };
  lifecycle.set_callbacks({activate, {}, stand_by, [&] { stop = true; }});
  lifecycle.ready();

  while (!stop) {
    pollfd agent{lifecycle.fd(), POLLIN, 0};
    if (::poll(&agent, 1, 1000) > 0) { lifecycle.dispatch(); }
    if (!writer || lifecycle.duty() != us::app::Duty::Active) {
      if (!lifecycle.has_agent()) { return 1; }  // alone and not active: it has said why
      continue;
    }
    std::uint64_t count = 0;
    if (const auto put = count_up(*writer, count)) {
      tell(writer->store(), put.value(), count, lifecycle.has_agent());
    } else {
      std::cerr << "stands by: " << put.error().message << std::endl;
      stand_by();
      lifecycle.lost_writer(put.error().message);
    }
  }
}
