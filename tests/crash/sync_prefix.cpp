// SPDX-License-Identifier: Apache-2.0
#include "sync_prefix.hpp"

#include <algorithm>
#include <cstring>

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t ids = 64;  ///< none of a snapshot's is above
constexpr std::uint64_t new_id = 90;

Content content_of(const Store& store, std::vector<std::string>& violations) {
  Content content;
  const TableKind kind = store.schema().tables[0].kind;
  const auto scanned = store.scan(0, {}, [&](const Store::Record& record) {
    Key key{};
    std::uint64_t seed = 0;
    std::memcpy(&key, record.key.data(), sizeof key);
    std::memcpy(&seed, record.value.data(), sizeof seed);
    if (!std::ranges::equal(record.value, value_bytes_of(kind, seed))) { violations.emplace_back("torn"); }
    if (!content.emplace(key.id, seed).second) { violations.emplace_back("a key twice"); }
    return true;
  });
  if (!scanned) { violations.push_back(scanned.error().message); }
  for (std::uint64_t id = 0; id < ids; ++id) {
    const auto got = get(store, id);
    const auto wanted = content.find(id);
    if (wanted == content.end() ? got.ok() : !got || *got != value_bytes_of(kind, wanted->second)) {
      violations.push_back("get of " + std::to_string(id) + " is not what a scan finds");
    }
  }
  return content;
}

/// A state that a writer left: no mark, its count, and a journal that ends where it does.
void check_state(const std::string& path, const Expected& wanted, std::vector<std::string>& violations) {
  const auto region = Region::open(path, Access::ReadOnly);
  if (!region) { return violations.push_back(region.error().message); }
  const Store store = region->store("state").value();
  if (store.syncing()) { violations.emplace_back("syncing"); }
  if (store.committed().value != wanted.committed) {
    violations.push_back("committed is " + std::to_string(store.committed().value));
  }
  if (content_of(store, violations) != wanted.content) { violations.emplace_back("not its records"); }
  if (store.count(0) != wanted.content.size()) { violations.push_back("count is " + std::to_string(store.count(0))); }
  JournalReader follower(store, store.committed());
  const auto chunk = follower.read(4096);
  if (!chunk || chunk->state != JournalReader::State::Nothing) {
    violations.emplace_back("the journal has another end");
  }
}

/// It writes on as any writer, and who follows it from here on is told just that.
void check_goes_on(StoreWriter& writer, const std::string& path, Expected state, std::vector<std::string>& violations) {
  JournalReader follower(writer.store(), Sequence{state.committed});
  std::uint64_t told = state.committed;
  std::vector<std::vector<Step>> more;
  if (!state.content.empty()) {
    const std::uint64_t id = state.content.begin()->first;
    more.push_back({{id, 4711}});
    more.push_back({{id, std::nullopt}});
  }
  more.push_back({{new_id, 1}});
  more.push_back({{new_id, std::nullopt}, {new_id + 1, 2}});
  for (const auto& steps : more) {
    const auto written = write(writer, state, steps);
    if (!written) { return violations.push_back("next writer: " + written.error().message); }
    state = *written;
    check_state(path, state, violations);
  }
  while (told < state.committed) {
    const auto chunk = follower.read(1 << 20);
    if (!chunk || chunk->state != JournalReader::State::Entries) {
      return violations.push_back("a follower is not told what came after the snapshot");
    }
    const auto walked = for_each_entry(chunk->bytes, [&](const JournalEntry& entry) {
      if (entry.sequence.value != ++told) { violations.emplace_back("the journal jumps"); }
    });
    if (!walked) { return violations.push_back(walked.error().message); }
  }
}

}  // namespace

std::string name_of(const SyncOf& sync) {
  return std::string(sync.kind == TableKind::Blob ? "Blobs" : "Fixed") + (sync.full ? "Full" : "Delta");
}

/// The sender has more than the mirror's table holds as it was created, so that it grows in the middle.
SyncPrefixes::SyncPrefixes(const SyncOf& sync)
    : sync_(sync),
      sender_region_(Region::create(sender_file_.path(), crash_region_bytes, crash_schema(sync.kind)).value()),
      mirror_region_(Region::create(mirror_file_.path(), crash_region_bytes, crash_schema(sync.kind)).value()) {
  const Store sender = sender_region_.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  EXPECT_TRUE(writer.rebuild(0).ok());
  receiver_.emplace(mirror_region_.store("state").value().become_writer(Term{1}).value());
  if (sync.full) {  // another history
    for (std::uint64_t id = 0; id < 10; ++id) { held_ = write(*receiver_, held_, {{id, id + 50}}).value(); }
    for (std::uint64_t id = 5; id < 40; ++id) { sent_ = write(writer, sent_, {{id, id}}).value(); }
  } else {
    for (std::uint64_t id = 0; id < 20; ++id) { sent_ = write(writer, sent_, {{id, id + 50}}).value(); }
    JournalReader journal(sender, Sequence{0});
    for (std::uint64_t got = 0; got < 20; got = receiver_->committed().value) {
      EXPECT_TRUE(receiver_->apply(journal.read(1 << 20).value().bytes).ok());
    }
    held_ = sent_;
    for (std::uint64_t id = 10; id < 40; ++id) { sent_ = write(writer, sent_, {{id, id}}).value(); }
  }
  const auto scanned = sender.scan(0, sync.full ? Sequence{0} : Sequence{held_.committed}, [&](const auto& record) {
    SentRecord sent{0, 0, record.sequence.value};
    std::memcpy(&sent.id, record.key.data(), sizeof sent.id);
    std::memcpy(&sent.seed, record.value.data(), sizeof sent.seed);
    records_.push_back(sent);
    return true;
  });
  EXPECT_TRUE(scanned.ok());
  history_ = sender.history();
}

Status SyncPrefixes::sync(StoreWriter& writer) const {
  if (auto begun = writer.begin_sync(sync_.full); !begun) { return begun; }
  for (const SentRecord& record : records_) {
    auto taken = writer.apply_snapshot_record(0, as_bytes_of(Key{record.id}), value_bytes_of(sync_.kind, record.seed),
                                              Sequence{record.sequence});
    if (!taken) { return taken; }
  }
  return writer.end_sync(Sequence{sent_.committed}, history_, {});
}

void SyncPrefixes::run(std::uint64_t deep_each) {
  no_region_in_children();
  points::on_store = [&] { freeze(++images % deep_each == 0); };
  const Status done = sync(*receiver_);
  points::on_store = nullptr;
  if (!done) { violations.push_back(done.error().message); }
  check_state(path(), sent_, violations);
}

void SyncPrefixes::freeze(bool deep) {
  if (violations.size() > 20) { return; }
  const Suspended suspended;
  const Told told = in_a_fresh_process([&](Told& tell) {
    look(tell);
    if (deep && tell.found && tell.violations.empty()) { freeze_accepting(tell); }
  });
  images += told.images;
  syncing += told.found ? 1U : 0U;
  if (told.violations.empty()) { return; }
  violations.insert(violations.end(), told.violations.begin(), told.violations.end());
  violations.back() += " (image " + std::to_string(images) + ")";
}

/// `tell.found`: it has the mark.
void SyncPrefixes::look(Told& tell) {
  {
    const auto region = Region::open(path(), Access::ReadOnly);
    if (!region) { return tell.violations.push_back(region.error().message); }
    const Store store = region->store("state").value();
    tell.found = store.syncing();
    if (tell.found) { (void)check_records(store, tell); }
  }
  check_next_writer(tell.found, tell);
  if (tell.found) { check_accepted(tell); }
}

/// Each for itself: as it was held, or as it was sent. What is not sent anew stays where nothing may be swept.
Content SyncPrefixes::check_records(const Store& store, Told& tell) const {
  const Content found = content_of(store, tell.violations);
  const auto is = [&](const Content& of, const auto& record) {
    const auto at = of.find(record.first);
    return at != of.end() && at->second == record.second;
  };
  for (const auto& record : found) {
    if (!is(held_.content, record) && !is(sent_.content, record)) {
      tell.violations.push_back("what never was, of " + std::to_string(record.first));
    }
  }
  for (const auto& [id, seed] : held_.content) {
    if (!sync_.full && !found.contains(id)) { tell.violations.push_back(std::to_string(id) + " is gone"); }
  }
  return found;
}

void SyncPrefixes::check_next_writer(bool was_syncing, Told& tell) {
  copy_image(path(), copy_.path());
  const auto region = Region::open(copy_.path(), Access::ReadWrite).value();
  const Store store = region.store("state").value();
  const Expected& found = store.committed().value == sent_.committed ? sent_ : held_;
  if (!was_syncing) { check_state(copy_.path(), found, tell.violations); }
  auto writer = store.become_writer(Term{1000});
  if (!writer) { return tell.violations.push_back("next writer: " + writer.error().message); }
  if (was_syncing) {
    if (writer->put(0, as_bytes_of(Key{1}), value_bytes_of(sync_.kind, 1)).ok()) {
      tell.violations.emplace_back("an unfinished copy was written to");
    }
    if (const auto done = sync(*writer); !done) { return tell.violations.push_back("again: " + done.error().message); }
    check_state(copy_.path(), sent_, tell.violations);
  }
  check_goes_on(*writer, copy_.path(), was_syncing ? sent_ : found, tell.violations);
}

void SyncPrefixes::check_accepted(Told& tell) {
  copy_image(path(), copy_.path());
  const auto region = Region::open(copy_.path(), Access::ReadWrite).value();
  const Store store = region.store("state").value();
  auto writer = store.become_writer(Term{1000});
  if (!writer) { return tell.violations.push_back("next writer: " + writer.error().message); }
  const Content content = check_records(store, tell);
  if (const auto done = writer->accept_unsynced(); !done) { return tell.violations.push_back(done.error().message); }
  const Expected accepted{store.committed().value, content};
  check_state(copy_.path(), accepted, tell.violations);
  if (store.purged_up_to() != store.committed()) { tell.violations.emplace_back("counts as if nothing were missing"); }
  check_goes_on(*writer, copy_.path(), accepted, tell.violations);
}

/// An operator's writer is frozen while it makes the copy serve: the mark is there, or all of it is done; and the next
/// writer goes on from there.
void SyncPrefixes::freeze_accepting(Told& tell) {
  copy_image(path(), copy_.path());
  const auto region = Region::open(copy_.path(), Access::ReadWrite).value();
  const Store store = region.store("state").value();
  auto writer = store.become_writer(Term{1000}).value();
  const Content content = check_records(store, tell);
  no_region_in_children();
  if (break_accepting) { break_accepting(mapped_at(copy_.path())); }
  points::on_store = [&] {
    const Suspended suspended;
    ++tell.images;
    const Told told = in_a_fresh_process([&](Told& then) {
      copy_image(copy_.path(), second_copy_.path());
      const auto second = Region::open(second_copy_.path(), Access::ReadWrite).value();
      const Store frozen = second.store("state").value();
      const bool marked = frozen.syncing();
      if (!marked) {
        check_state(second_copy_.path(), {frozen.committed().value, content}, then.violations);
        if (frozen.purged_up_to() < frozen.committed()) { then.violations.emplace_back("as if nothing were missing"); }
      } else if (check_records(frozen, then) != content) {
        then.violations.emplace_back("other records");
      }
      auto next = frozen.become_writer(Term{1001});
      if (!next) { return then.violations.push_back("next writer: " + next.error().message); }
      if (const auto done = next->accept_unsynced(); !done) { then.violations.push_back(done.error().message); }
      check_goes_on(*next, second_copy_.path(), {frozen.committed().value, content}, then.violations);
    });
    tell.violations.insert(tell.violations.end(), told.violations.begin(), told.violations.end());
  };
  const Status done = writer.accept_unsynced();
  points::on_store = nullptr;
  points::swap = {};
  points::held_back.clear();
  if (!done) { tell.violations.push_back(done.error().message); }
}

}  // namespace understudy::shm::crash
