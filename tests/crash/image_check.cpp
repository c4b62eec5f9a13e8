// SPDX-License-Identifier: Apache-2.0
#include "image_check.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace understudy::shm::crash {
namespace {

std::string describe(const Expected& state) {
  std::string text = "committed " + std::to_string(state.committed) + " {";
  for (const auto& [id, seed] : state.content) { text += " " + std::to_string(id) + ":" + std::to_string(seed); }
  return text + " }";
}

template <class Note>
Content scan_all(const Store& store, const Note& note) {
  Content content;
  const TableKind kind = store.schema().tables[0].kind;
  const auto scanned = store.scan(0, {}, [&](const Store::Record& record) {
    Key key{};
    std::uint64_t seed = 0;
    std::memcpy(&key, record.key.data(), sizeof key);
    std::memcpy(&seed, record.value.data(), std::min(sizeof seed, record.value.size()));
    if (!std::ranges::equal(record.value, value_bytes_of(kind, seed))) {
      note("torn value of " + std::to_string(key.id));
    }
    if (!content.emplace(key.id, seed).second) { note("key twice: " + std::to_string(key.id)); }
    return true;
  });
  if (!scanned) { note(scanned.error().message); }
  return content;
}

/// Keys must be found by probing as well, and what is absent must be absent.
template <class Note>
void check_gets(const Store& store, const Content& content, const Note& note) {
  const TableKind kind = store.schema().tables[0].kind;
  for (std::uint64_t id = 0; id < 2 * capacity; ++id) {
    const auto got = get(store, id);
    const auto wanted = content.find(id);
    if (wanted == content.end() ? got.ok() || got.error().code != Errc::NotFound
                                : !got.ok() || *got != value_bytes_of(kind, wanted->second)) {
      note("get of " + std::to_string(id) + " is not what a scan finds");
    }
  }
}

/// Replays the journal from nothing; the workloads stay within one lap of the ring.
template <class Note>
void check_journal(const Store& store, const Expected& found, const Note& note) {
  JournalReader reader(store, Sequence{0});
  Content replayed;
  std::uint64_t sequence = 0;
  while (sequence < found.committed) {
    auto chunk = reader.read(16 << 10);
    if (!chunk) { return note(chunk.error().message); }
    if (chunk->state != JournalReader::State::Entries) { return note("journal ends at " + std::to_string(sequence)); }
    const auto walked = for_each_entry(chunk->bytes, [&](const JournalEntry& entry) {
      if (entry.sequence.value != ++sequence) { note("journal jumps to " + std::to_string(entry.sequence.value)); }
      Key key{};
      std::memcpy(&key, entry.key.data(), sizeof key);
      if (entry.op == JournalEntry::Op::Erase) {
        replayed.erase(key.id);
      } else {
        std::memcpy(&replayed[key.id], entry.value.data(), 8);
      }
    });
    if (!walked) { return note(walked.error().message); }
  }
  if (replayed != found.content) { note("the journal replayed gives " + describe({sequence, replayed})); }
}

}  // namespace

RegionSchema crash_schema(TableKind kind) {
  const std::uint32_t bytes = kind == TableKind::Blob ? blob_bytes : sizeof(Value);
  return {{{"state", {{"records", 8, bytes, capacity, kind, capacity_rebuilt}}, 64 << 10}}};
}

std::vector<std::byte> value_bytes_of(TableKind kind, std::uint64_t seed) {
  const std::size_t bytes = kind == TableKind::Blob ? 8 + seed % (blob_bytes - 7) : sizeof(Value);
  std::vector<std::byte> value(bytes);
  std::uint64_t word = seed;
  for (std::size_t at = 0; at < bytes; at += 8, word = word * 0x9e3779b97f4a7c15 + 1) {
    std::memcpy(value.data() + at, &word, std::min<std::size_t>(8, bytes - at));
  }
  if (kind != TableKind::Blob) { std::ranges::copy(as_bytes_of(value_of(seed)), value.begin()); }
  return value;
}

Result<std::vector<std::byte>> get(const Store& store, std::uint64_t id) {
  const auto& table = store.schema().tables[0];
  std::vector<std::byte> value(table.value_bytes);
  if (table.kind == TableKind::Blob) {
    const auto got = store.get_blob(0, as_bytes_of(Key{id}), value);
    if (!got) { return got.error(); }
    value.resize(*got);
    return value;
  }
  if (auto got = store.get(0, as_bytes_of(Key{id}), value); !got) { return got.error(); }
  return value;
}

int effort(int ordinary, int full) {
  if (std::getenv("UNDERSTUDY_FULL") != nullptr) { return full; }
#if defined(__SANITIZE_THREAD__)
  return std::max(1, ordinary / 10);  // every access costs many times as much there
#else
  return ordinary;
#endif
}

Value value_of(std::uint64_t seed) { return {{seed, ~seed, seed * 0x9e3779b97f4a7c15}}; }

Expected after(const Expected& before, const std::vector<Step>& steps) {
  Expected state = before;
  for (const Step& step : steps) {
    ++state.committed;
    if (step.seed) {
      state.content[step.id] = *step.seed;
    } else {
      state.content.erase(step.id);
    }
  }
  return state;
}

Result<Expected> write(StoreWriter& writer, const Expected& before, const std::vector<Step>& steps) {
  const TableKind kind = writer.store().schema().tables[0].kind;
  if (steps.size() > 1) {
    if (auto begun = writer.begin(); !begun) { return begun.error(); }
  }
  for (const Step& step : steps) {
    const Key key{step.id};
    const auto done = step.seed ? writer.put(0, as_bytes_of(key), value_bytes_of(kind, *step.seed))
                                : writer.erase(0, as_bytes_of(key));
    if (!done) { return done.error(); }
  }
  if (steps.size() > 1) {
    if (auto committed = writer.commit(); !committed) { return committed.error(); }
  }
  return after(before, steps);
}

std::optional<Expected> check_reader(const std::string& path, const Expected& before, const Expected& after,
                                     std::vector<std::string>& violations) {
  const auto note = [&](const std::string& what) {
    violations.push_back(what + "; before: " + describe(before) + ", after: " + describe(after));
  };
  auto region = Region::open(path, Access::ReadOnly);
  if (!region) {
    note(region.error().message);
    return std::nullopt;
  }
  const Store store = region->store("state").value();
  const std::uint64_t committed = store.committed().value;
  if (committed != before.committed && committed != after.committed) {
    note("committed is " + std::to_string(committed));
    return std::nullopt;
  }
  const Expected& found = committed == after.committed ? after : before;
  if (const auto content = scan_all(store, note); content != found.content) {
    note("found " + describe({committed, content}));
    return std::nullopt;
  }
  check_gets(store, found.content, note);
  if (store.count(0) != found.content.size()) { note("count is " + std::to_string(store.count(0))); }
  check_journal(store, found, note);
  return found;
}

void check_next_writer(const std::string& path, const Expected& found, const std::vector<Step>& in_flight,
                       std::vector<std::string>& violations) {
  Expected state = found;
  {
    auto region = Region::open(path, Access::ReadWrite);
    if (!region) { return violations.push_back(region.error().message); }
    auto writer = region->store("state").value().become_writer(Term{1000});
    if (!writer) { return violations.push_back("next writer: " + writer.error().message); }
    if (!check_reader(path, found, found, violations)) { return violations.push_back("... after taking over"); }
    // A mirror of this owner would wait for a deletion that never happened.
    if (writer->store().purged_up_to() > writer->committed()) {
      return violations.push_back("a deletion that was taken back counts as purged");
    }
    if (in_flight.empty()) {
      if (auto rebuilt = writer->rebuild(0); !rebuilt) { return violations.push_back(rebuilt.error().message); }
      if (!check_reader(path, found, found, violations)) { return violations.push_back("... after a rebuild"); }
    }
    std::vector<std::vector<Step>> more;
    // The other kind of change for the keys in flight, in another order, so that leftovers would show.
    for (auto step = in_flight.rbegin(); step != in_flight.rend(); ++step) {
      if (state.content.contains(step->id)) { more.push_back({{step->id, std::nullopt}}); }
      more.push_back({{step->id, 777000 + step->id}});
    }
    more.push_back({{capacity * 2, 1}, {capacity * 2 + 1, 2}});
    more.push_back({{capacity * 2, std::nullopt}, {capacity * 2 + 1, std::nullopt}});
    for (const auto& steps : more) {
      if (steps[0].seed && !state.content.contains(steps[0].id) && state.content.size() + steps.size() > capacity) {
        continue;
      }
      if (!steps[0].seed && !state.content.contains(steps[0].id)) { continue; }
      auto written = write(*writer, state, steps);
      if (!written) { return violations.push_back("next writer: " + written.error().message); }
      state = *written;
      if (!check_reader(path, state, state, violations)) {
        return violations.push_back("... after the next writer wrote");
      }
    }
  }
}

namespace {
void* map_file(const std::string& path, int protection) {
  const int fd = ::open(path.c_str(), (protection & PROT_WRITE) != 0 ? O_RDWR | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
  void* at = ::mmap(nullptr, crash_region_bytes, protection, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) { std::abort(); }
  return at;
}
}  // namespace

std::byte* map_for_reading(const std::string& path) { return static_cast<std::byte*>(map_file(path, PROT_READ)); }
std::uint8_t* map_for_writing(const std::string& path) {
  return static_cast<std::uint8_t*>(map_file(path, PROT_READ | PROT_WRITE));
}
void unmap(const void* address) { ::munmap(const_cast<void*>(address), crash_region_bytes); }

const std::uint64_t* mapped_at(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) == std::string::npos || line.find(" rw-s ") == std::string::npos) { continue; }
    return reinterpret_cast<const std::uint64_t*>(std::stoull(line, nullptr, 16));
  }
  return nullptr;
}

void copy_image(const std::string& from, const std::string& to) {
  const std::uint64_t bytes = crash_region_bytes / 4;  // all that the schema uses, with room
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const int out = ::open(to.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* source = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, in, 0);
  if (in < 0 || out < 0 || source == MAP_FAILED || ::ftruncate(out, crash_region_bytes) != 0 ||
      ::pwrite(out, source, bytes, 0) != static_cast<ssize_t>(bytes)) {
    std::perror("copy_image");
    std::abort();
  }
  ::munmap(source, bytes);
  ::close(in);
  ::close(out);
}

ImageFile::ImageFile(const std::string& what) : path_(prefix + std::to_string(::getpid()) + "-" + what) {}
ImageFile::~ImageFile() { ::unlink(path_.c_str()); }

}  // namespace understudy::shm::crash
