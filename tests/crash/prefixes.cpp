// SPDX-License-Identifier: Apache-2.0
#include "prefixes.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::size_t violations_max = 20;

/// Where the last of the schema's bytes is.
std::uint64_t end_of_tables(const std::string& path) {
  layout::RegionHeader header{};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  std::uint64_t end = 0;
  for (const auto& table : header.stores[0].tables) {
    const std::uint64_t key_bytes = table.kind == layout::table_dense ? 0 : table.key_bytes;
    const std::uint64_t value_bytes = table.kind == layout::table_blob ? 8 : table.value_bytes;
    const std::uint64_t slot_bytes = 8 * layout::slot_words(key_bytes, value_bytes);
    end = std::max({end, table.slots_offset + table.slot_count * slot_bytes,
                    table.grown_slots_offset + table.grown_slot_count * slot_bytes,
                    table.slabs_offset + table.slab_count * table.slab_bytes});
  }
  return end;
}

}  // namespace

Prefixes::Prefixes(const RegionSchema& schema, std::uint64_t region_bytes, Options options, std::uint64_t used_bytes)
    : options_(options),
      region_bytes_(region_bytes),
      used_bytes_(used_bytes),
      ring_bytes_(schema.stores[0].journal_bytes) {
  EXPECT_TRUE(Region::create(path(), region_bytes, schema).ok());
  if (used_bytes_ == 0) { used_bytes_ = end_of_tables(path()); }
  region_.emplace(Region::open(path(), Access::ReadWrite).value());
  store_.emplace(region_->store(schema.stores[0].name).value());
  writer_.emplace(store_->become_writer(Term{1}).value());
  model_.tables.resize(schema.stores[0].tables.size());
  pools.resize(model_.tables.size());
}

Prefixes::~Prefixes() {
  points::on_store = nullptr;
  points::swap = {};
  points::held_back.clear();
}

void Prefixes::copy(const std::string& from, const std::string& to) const {
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const int out = ::open(to.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  loff_t at = 0;
  loff_t to_at = 0;
  bool good = in >= 0 && out >= 0 && ::ftruncate(out, static_cast<off_t>(region_bytes_)) == 0;
  std::vector<char> buffer(std::min<std::uint64_t>(used_bytes_, 1 << 20));
  while (good && static_cast<std::uint64_t>(at) < used_bytes_) {
    const auto want = std::min<std::uint64_t>(buffer.size(), used_bytes_ - static_cast<std::uint64_t>(at));
    good = ::pread(in, buffer.data(), want, at) == static_cast<ssize_t>(want) &&
           ::pwrite(out, buffer.data(), want, to_at) == static_cast<ssize_t>(want);
    at += static_cast<loff_t>(want);
    to_at = at;
  }
  ::close(in);
  ::close(out);
  if (!good) {
    std::perror("copy of an image");
    std::abort();
  }
}

void Prefixes::run(const Edits& edits) {
  run(edits, [&] { return write(*writer_, edits); });
}

void Prefixes::run(const Edits& edits, const std::function<Status()>& change) { run_as({edits}, change); }

void Prefixes::run_one_by_one(const Edits& edits, const std::function<Status()>& change) {
  std::vector<Edits> commits;
  for (const Edit& edit : edits) { commits.push_back({edit}); }
  run_as(commits, change);
}

void Prefixes::run_as(const std::vector<Edits>& commits, const std::function<Status()>& change) {
  no_region_in_children();
  std::size_t done = 0;
  Model before = model_;
  model_ = before.after(commits[0]);
  points::on_store = [&] {
    if (freeze(before, model_, commits[done]) != model_.committed || done + 1 >= commits.size()) { return; }
    before = model_;
    model_ = before.after(commits[++done]);
  };
  const Status changed = change();
  points::on_store = nullptr;
  if (!changed) { violations.push_back(changed.error().message); }
  if (done + 1 != commits.size() && violations.empty()) { violations.emplace_back("not as many commits as edits"); }
  if (violations.size() < violations_max) { check_image(path(), model_, model_, image(), violations); }
}

void Prefixes::skip(const Edits& edits) {
  skip(edits, [&] { return write(*writer_, edits); });
}

void Prefixes::skip(const Edits& edits, const std::function<Status()>& change) {
  if (const Status done = change(); !done) { violations.push_back(done.error().message); }
  model_ = model_.after(edits);
}

void Prefixes::rebuild(TableIndex table) {
  run({}, [&] { return writer_->rebuild(table); });
}

void Prefixes::stand_here(std::size_t readers) {
  // Who is behind by more than a ring already has been asked, or never will be.
  std::erase_if(standing_, [&](const Standing& one) { return one.position + ring_bytes_ < model_.end(); });
  for (std::size_t i = 0; i < readers; ++i) {
    JournalReader reader(*store_, Sequence{model_.committed});
    const auto placed = reader.read(1);
    EXPECT_TRUE(placed.ok() && placed->state == JournalReader::State::Nothing);
    standing_.push_back({std::move(reader), model_.end()});
  }
}

/// One of those that stand at what is overwritten now reads on, and one of those that stand just behind it: what those
/// have not read is there.
void Prefixes::look_where_it_comes_round(const Model& found, std::uint64_t end_max) {
  for (const bool overwritten : {true, false}) {
    const auto one = std::ranges::find_if(standing_, [&](const Standing& reader) {
      constexpr std::uint64_t just_behind = 2048;
      const std::uint64_t comes_round = reader.position + ring_bytes_;
      return overwritten
                 ? comes_round < end_max
                 : comes_round >= end_max && comes_round < end_max + just_behind && reader.position < found.end();
    });
    if (one == standing_.end()) { continue; }
    const auto read_on = check_follower(one->reader, found, image(), end_max, 1, violations);
    ++(read_on ? not_yet_lapped_ : lapped_);
    if (!overwritten && !read_on) { violations.push_back("a follower was lapped by nobody"); }
    standing_.erase(one);
  }
}

std::optional<std::uint64_t> Prefixes::freeze(const Model& before, const Model& then, const Edits& edits) {
  ++stores_;
  if (violations.size() > violations_max) { return {}; }
  if (!points::at_guard && stores_ % options_.payload_step != 0) { return {}; }
  ++images_;
  const Suspended suspended;
  const std::size_t known = violations.size();
  const Told told = in_a_fresh_process([&](Told& tell) { look(before, then, edits, tell); });
  images_ += told.images;
  violations.insert(violations.end(), told.violations.begin(), told.violations.end());
  if (told.found) { look_where_it_comes_round(told.committed == then.committed ? then : before, then.end()); }
  if (violations.size() > known) { violations.back() += " (image " + std::to_string(images_) + ")"; }
  return told.found ? std::optional(told.committed) : std::nullopt;
}

/// In the fresh process.
void Prefixes::look(const Model& before, const Model& then, const Edits& edits, Told& tell) {
  const Model* found = check_image(path(), before, then, image(), tell.violations);
  if (found == nullptr) { return; }
  tell.found = true;
  tell.committed = found->committed;
  copy(path(), copy_.path());
  if (options_.deep) { freeze_recovery(*found, edits, tell); }
  check_next_writer(copy_.path(), *found, edits, image(), tell.violations, taking_over());
}

std::function<void(bool)> Prefixes::taking_over() const {
  if (!break_taking_over) { return {}; }
  return [this](bool begins) {
    points::swap = {};
    points::held_back.clear();
    if (begins) { break_taking_over(mapped_at(copy_.path())); }
  };
}

/// The next writer dies while it takes over, after each of its stores; the one after it must not notice.
void Prefixes::freeze_recovery(const Model& found, const Edits& edits, Told& tell) {
  auto region = Region::open(copy_.path(), Access::ReadWrite).value();
  no_region_in_children();
  points::on_store = [&] {
    const Suspended suspended;
    ++tell.images;
    const Told told = in_a_fresh_process([&](Told& then) {
      if (check_image(copy_.path(), found, found, image(), then.violations) == nullptr) { return; }
      copy(copy_.path(), second_copy_.path());
      check_next_writer(second_copy_.path(), found, edits, image(), then.violations);
    });
    tell.violations.insert(tell.violations.end(), told.violations.begin(), told.violations.end());
  };
  const auto writer = region.store(region.schema().stores[0].name).value().become_writer(Term{999});
  points::on_store = nullptr;
  if (!writer) { tell.violations.push_back("dying writer: " + writer.error().message); }
}

}  // namespace understudy::shm::crash
