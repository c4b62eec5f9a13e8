// SPDX-License-Identifier: Apache-2.0
// The transfer unit: what is broken off leaves nothing, what ended on the way is started again.
/// Covers: host-agent/place/surplus.cpp
#include "edge/transfer_unit.hpp"

#include <linux/neighbour.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <map>
#include <set>

#include "place/surplus.hpp"
#include "standby_bench.hpp"
#include "support/eventually.hpp"
#include "understudy/net/collector.hpp"
#include "understudy/shm/layout.hpp"
#include "unit/shared-mem/raw_region.hpp"

namespace understudy::host {
namespace {

class TransferTest : public StandbyBench {
 protected:
  void SetUp() override {
    StandbyBench::SetUp();
    if (IsSkipped() || HasFatalFailure()) { return; }
    use({TEST_APPLICATION});
    ASSERT_OK(shm::Region::create(region_path(), spec_.region_bytes, place::region_schema(spec_)));
  }
  void TearDown() override {
    transfer_.reset();
    if (const pid_t left = application(); left > 0) { ::kill(-left, SIGKILL); }
    StandbyBench::TearDown();
  }

  void use(std::vector<std::string> command) {
    spec_ = role_with(std::move(command));
    transfer_ = std::make_unique<TransferUnit>(io_, config_, *network_, spec_, alarms());
  }
  /// The role's region has the store "state" too, with a table of so many records.
  void use_store_of_an_application(std::uint64_t room) {
    spec_.application.store = "state";
    spec_.application.journal_bytes = 64 * 1024;
    spec_.application.tables = {{"things", 8, 8, room}};
    spec_.region_bytes = shm::Region::size_needed(place::region_schema(spec_)).value();
    ASSERT_OK(shm::Region::create(region_path(), spec_.region_bytes, place::region_schema(spec_)));
    transfer_ = std::make_unique<TransferUnit>(io_, config_, *network_, spec_, alarms());
  }
  place::RolePlaceCallbacks alarms() {
    place::RolePlaceCallbacks callbacks;
    callbacks.on_application_exit = [this](const std::string&) { ++exits_; };
    callbacks.on_alarm = [this](const std::string& text, const std::string& topic) {
      alarms_.push_back(text);
      standing_[topic] = text;
    };
    return callbacks;
  }
  /// What an earlier try, of a daemon that is gone, has left running.
  void leave_application(std::vector<std::string> command) {
    app::ApplicationOptions options;
    options.name = spec_.id.value;
    options.command = std::move(command);
    options.run_dir = config_.run_dir;
    options.region_path = region_path();
    options.region_bytes = spec_.region_bytes;
    app::Supervisor former(io_, options, {});
    ASSERT_OK(former.start());
    ASSERT_OK(outcome([&](auto done) { former.wait_ready(std::chrono::seconds(10), done); }));
  }
  [[nodiscard]] pid_t application() const {
    std::ifstream file(config_.run_dir + "/role-2.pid");
    pid_t pid = 0;
    file >> pid;
    return pid;
  }
  [[nodiscard]] std::string namespace_path() const { return config_.run_dir + "/role-2.netns"; }
  void expect_nothing_left() {
    EXPECT_FALSE(std::filesystem::exists(namespace_path()));
    EXPECT_FALSE(network_->links().state("h2-ext").ok());
    EXPECT_EQ(application(), 0);
  }

  link::RoleSpec spec_;
  std::unique_ptr<TransferUnit> transfer_;
  int exits_ = 0;
  std::vector<std::string> alarms_;
  std::map<std::string, std::string> standing_;  ///< topic -> what was said last; empty: it has ended
};

TEST_F(TransferTest, WhatIsDiscardedWhileAFormerApplicationStillEndsLeavesNothing) {
  ASSERT_NO_FATAL_FAILURE(leave_application({TEST_APPLICATION, "ignores-stop", "ignores-sigterm"}));
  bool answered = false;
  transfer_->prepare([&](const Status&) { answered = true; });
  io_.restart();
  io_.poll();
  ASSERT_FALSE(std::filesystem::exists(namespace_path())) << "it does not wait for the former application";
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
  expect_nothing_left();
  EXPECT_TRUE(comes_to_rest());
  expect_nothing_left();
  EXPECT_FALSE(answered) << "of what was given up nobody wants to hear";
}

TEST_F(TransferTest, WhatIsDiscardedWhileItsApplicationStartsLeavesNothing) {
  bool answered = false;
  transfer_->prepare([&](const Status&) { answered = true; });
  ASSERT_TRUE(run_until([&] { return application() > 0; }));
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
  EXPECT_TRUE(comes_to_rest());
  expect_nothing_left();
  EXPECT_FALSE(answered);
}

TEST_F(TransferTest, AfterADiscardItCanBePreparedAgain) {
  transfer_->prepare([](const Status&) {});
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  EXPECT_TRUE(std::filesystem::exists(namespace_path()));
  EXPECT_GT(application(), 0);
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
  expect_nothing_left();
}

TEST_F(TransferTest, TheRegionOfAnNvdimmIsTakenFromBehindItsInfoBlock) {
  ASSERT_OK(
      shm::Region::create(region_path(), spec_.region_bytes, place::region_schema(spec_), shm::nvdimm_info_bytes));
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  std::ifstream file("/proc/" + std::to_string(application()) + "/environ");
  const std::string environment((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(environment.find("UNDERSTUDY_REGION_OFFSET=2097152"), std::string::npos);
  ASSERT_OK(transfer_->finish(Term{3}));
  ASSERT_OK(outcome([&](auto done) { transfer_->take_over(Term{3}, done); }));
  const auto region =
      shm::Region::open(region_path(), shm::Access::ReadOnly, spec_.region_bytes, shm::nvdimm_info_bytes);
  ASSERT_TRUE(region.ok()) << region.error().message;
  EXPECT_EQ(region->store(net::net_store_name).value().term(), Term{3});
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
  expect_nothing_left();
}

TEST_F(TransferTest, ARegionWithAnotherSchemaIsNeitherPreloadedNorServed) {
  auto schema = place::region_schema(spec_);  // as a guest may write it: sound, and not the role's
  --schema.stores.front().tables.front().capacity;
  ASSERT_OK(shm::Region::create(region_path(), spec_.region_bytes, schema));
  std::optional<Status> refused;
  transfer_->prepare([&](const Status& prepared) { refused = prepared; });
  ASSERT_TRUE(run_until([&] { return refused.has_value(); }));
  ASSERT_FALSE(refused->ok());
  EXPECT_EQ(refused->error().code, Errc::Refused);
  EXPECT_NE(refused->error().message.find("was made for another version of role role-2"), std::string::npos)
      << refused->error().message;
  bool discarded = false;
  transfer_->discard([&](const Status& done) { discarded = done.ok(); });
  EXPECT_TRUE(run_until([&] { return discarded; }));
  expect_nothing_left();

  place::RolePlace place(io_, spec_, moved_place(config_, spec_), {});
  EXPECT_EQ(place.open_region().error().code, Errc::Refused);
}

TEST_F(TransferTest, AFullTableOfAServedRoleIsAnAlarmUntilItHasRoom) {
  constexpr std::uint64_t room = 4;
  ASSERT_NO_FATAL_FAILURE(use_store_of_an_application(room));
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  ASSERT_OK(transfer_->finish(Term{3}));
  ASSERT_OK(outcome([&](auto done) { transfer_->take_over(Term{3}, done); }));

  auto region = shm::Region::open(region_path(), shm::Access::ReadWrite, spec_.region_bytes);
  ASSERT_TRUE(region.ok()) << region.error().message;
  auto writer = region->store("state").value().become_writer(Term{3});  // as the application would
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (std::uint64_t key = 0; key < room; ++key) {
    ASSERT_TRUE(writer->put(0, shm::as_bytes_of(key), shm::as_bytes_of(key)).ok());
  }
  EXPECT_EQ(writer->put(0, shm::as_bytes_of(room), shm::as_bytes_of(room)).error().code, Errc::Full);
  const auto full = [&] {
    return std::ranges::find_if(standing_, [](const auto& one) {
      return one.second.find("table \"things\" of store \"state\" is full: it holds 4 of 4 records") == 0;
    });
  };
  ASSERT_TRUE(run_until([&] { return full() != standing_.end(); })) << ::testing::PrintToString(standing_);
  const auto topic = full()->first;
  const std::uint64_t first = 0;
  ASSERT_TRUE(writer->erase(0, shm::as_bytes_of(first)).ok());
  EXPECT_TRUE(run_until([&] { return standing_.at(topic).empty(); })) << "it has room again, and the alarm stands";
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

TEST_F(TransferTest, AnApplicationThatEndedAfterItWasPreparedIsStartedAgainByTheTakeOver) {
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  const pid_t first = application();
  ASSERT_GT(first, 0);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ASSERT_TRUE(run_until([&] { return exits_ == 1; }));
  ASSERT_OK(transfer_->finish(Term{3}));
  ASSERT_OK(outcome([&](auto done) { transfer_->take_over(Term{3}, done); }));
  EXPECT_GT(application(), 0);
  EXPECT_NE(application(), first);
  EXPECT_EQ(::testing::PrintToString(alarms_), "{}");
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
  expect_nothing_left();
}

/// The mirror's kernel as it is recorded: what a guest would write, and what this host's kernel has of it.
class FollowedMirrorTest : public TransferTest {
 protected:
  void SetUp() override {
    TransferTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) { return; }
    guest_.emplace(shm::Region::open(region_path(), shm::Access::ReadWrite, spec_.region_bytes).value());
    writer_.emplace(guest_->store(net::net_store_name).value().become_writer(Term{2}).value());
  }
  void TearDown() override {
    writer_.reset();
    guest_.reset();
    TransferTest::TearDown();
  }
  static net::NeighborKey neighbor(int number) {
    net::NeighborKey key;
    key.address = net::test::ip("10.1.2." + std::to_string(number)).bytes;
    key.port = net::make_port_name("ext").value();
    key.family = 4;
    return key;
  }
  Sequence put(int number) {
    net::NeighborValue value;
    value.mac = net::test::mac("02:00:00:00:77:01").bytes;
    value.state = NUD_STALE;
    return writer_->put(net::NeighborTable, shm::as_bytes_of(neighbor(number)), shm::as_bytes_of(value)).value();
  }
  void erase(int number) { ASSERT_TRUE(writer_->erase(net::NeighborTable, shm::as_bytes_of(neighbor(number))).ok()); }
  /// Puts so often that who has read nothing since then finds none of it in the journal.
  void lap(int number) {
    const auto before = writer_->committed();
    const auto ring = guest_->schema().stores.front().journal_bytes;
    for (std::uint64_t bytes = 0; bytes < 2 * ring; bytes += 64) { put(number); }
    ASSERT_GT(writer_->committed(), before);
  }
  /// Numbers of the neighbours that the role's namespace on this host has.
  [[nodiscard]] std::set<int> neighbors() const {
    struct Numbers final : net::ChangeSink {
      void route(const net::RouteKey&, const net::RouteValue*) override {}
      void flow(const net::FlowChange&) override {}
      void neighbor(const net::NeighborKey& key, const net::NeighborValue* value) override {
        if (value != nullptr && key.family == 4) { found.insert(IpAddress{key.family, key.address}.bytes[3]); }
      }
      std::set<int> found;
    } numbers;
    const auto scope = net::NamespaceScope::enter(namespace_path()).value();
    auto kernel = net::Collector::open(net::PortMap::resolve(moved_place(config_, spec_).ports).value(), {}).value();
    EXPECT_TRUE(kernel.dump(numbers).ok());
    return numbers.found;
  }
  /// A byte of the journal's entry, which no longer has the checksum that it tells.
  void damage_entry(Sequence sequence, const net::NeighborKey& key) {
    std::fstream file(region_path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    const std::string wanted(reinterpret_cast<const char*>(&key), sizeof key);
    for (auto at = bytes.find(wanted); at != std::string::npos; at = bytes.find(wanted, at + 1)) {
      shm::layout::JournalEntryHeader header{};
      if (at < sizeof header) { continue; }
      std::memcpy(&header, bytes.data() + at - sizeof header, sizeof header);
      if (header.sequence != sequence.value || header.key_bytes != sizeof key) { continue; }
      const std::size_t value = at + sizeof key;
      file.clear();
      file.seekp(static_cast<std::streamoff>(value));
      file.put(static_cast<char>(bytes[value] ^ 1));
      return;
    }
    FAIL() << "the journal has no entry " << sequence.value;
  }

  std::optional<shm::Region> guest_;
  std::optional<shm::StoreWriter> writer_;
};

TEST_F(FollowedMirrorTest, WhatWasErasedWhileNobodyFollowedIsGoneHereToo) {
  put(9);
  put(10);
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  EXPECT_EQ(neighbors(), (std::set{9, 10}));
  erase(9);
  lap(11);
  EXPECT_TRUE(run_until([&] { return neighbors() == std::set{10, 11}; }));
  ASSERT_OK(transfer_->finish(Term{3}));
  EXPECT_EQ(neighbors(), (std::set{10, 11}));
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

TEST_F(FollowedMirrorTest, AJournalThatLapsItsFollowerAgainAndAgainIsToldOnce) {
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  testing::internal::CaptureStdout();
  for (int number = 11; number < 14; ++number) {
    lap(number);
    EXPECT_TRUE(run_until([&] { return neighbors().contains(number); }));
  }
  const std::string log = testing::internal::GetCapturedStdout();
  const std::string words = "following the mirror's state begins anew";
  const auto first = log.find(words);
  EXPECT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find(words, first + 1), std::string::npos) << log;
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

/// Every slot of the guest's table is some other key's, so that a search passes all of them: a millisecond for each of
/// the flows that the host's kernel has, while its loop refreshes no lease.
TEST_F(FollowedMirrorTest, WhatTheKernelHasTooMuchIsNotSearchedForWithoutEndInATableOfForeignBytes) {
  constexpr int there = 200;
  for (int number = 2; number < 2 + there; ++number) { put(number); }
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  const place::RolePlace place(io_, spec_, moved_place(config_, spec_), {});
  const auto surplus = [&] {
    const auto scope = net::NamespaceScope::enter(namespace_path()).value();
    return place::Surplus::find(place, guest_->store(net::net_store_name).value());
  };
  erase(2);
  const auto one = surplus();
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_LE(one->erasures().size(), 1U);

  const shm::RawRegion raw(region_path(), spec_.region_bytes);
  const auto header = raw.header();
  const auto& table = header.stores[0].tables[net::NeighborTable];
  const auto words = shm::layout::slot_words(sizeof(net::NeighborKey), sizeof(net::NeighborValue));
  for (std::uint64_t n = 0; n < table.slot_count; ++n) {
    std::uint64_t* const slot = raw.word(table.slots_offset) + n * words;
    *slot = shm::layout::head_of(1, shm::layout::kind_free, shm::layout::kind_erased, 0);
    slot[1] = n;
  }
  EXPECT_FALSE(surplus().ok());
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

TEST_F(FollowedMirrorTest, AHostThatWasLappedAtTheEndIsNotServedFrom) {
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  put(10);
  ASSERT_TRUE(run_until([&] { return neighbors() == std::set{10}; }));
  lap(11);
  EXPECT_FALSE(transfer_->finish(Term{3}).ok());
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

TEST_F(FollowedMirrorTest, NorOneThatCouldNotTakeAChunk) {
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  put(11);
  ASSERT_TRUE(run_until([&] { return neighbors() == std::set{11}; }));
  damage_entry(put(12), neighbor(12));
  EXPECT_FALSE(transfer_->finish(Term{3}).ok());
  EXPECT_FALSE(transfer_->finish(Term{3}).ok()) << "it stays so";
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

TEST_F(FollowedMirrorTest, FollowingGoesOnAfterAChunkThatCouldNotBeTaken) {
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  put(11);
  ASSERT_TRUE(run_until([&] { return neighbors() == std::set{11}; }));
  damage_entry(put(12), neighbor(12));
  EXPECT_TRUE(run_until([&] { return neighbors() == std::set{11, 12}; }));
  put(13);
  EXPECT_TRUE(run_until([&] { return neighbors() == std::set{11, 12, 13}; }));
  EXPECT_TRUE(transfer_->finish(Term{3}).ok());
  EXPECT_EQ(::testing::PrintToString(alarms_), "{}");
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

/// The movement rolls back then, and the guest serves on (Movement's I1).
TEST_F(TransferTest, AHostThatCouldNotWriteTheRegionSaysSoBeforeTheGuestIsGone) {
  ASSERT_NO_FATAL_FAILURE(use_store_of_an_application(4));
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  ASSERT_OK(transfer_->finish(Term{3}));
  const shm::RawRegion raw(region_path(), spec_.region_bytes);
  ASSERT_EQ(raw.header().store_count, 2U);
  const auto header = raw.header();
  for (const auto& store : std::span(header.stores).first(2)) {
    auto& control = *reinterpret_cast<shm::layout::StoreControl*>(raw.word(store.control_offset));
    const auto refusal_with = [&](std::uint64_t& word, std::uint64_t written) {
      const auto before = std::exchange(word, written);
      const auto finished = transfer_->finish(Term{3});
      word = before;
      return finished.ok() ? "it would be served from" : finished.error().message;
    };
    const std::string begin = "this host could not write the mirror's region: ";
    const auto term = refusal_with(control.writer.term, ~std::uint64_t{0});
    EXPECT_TRUE(term.starts_with(begin + "term 3 is older than the term 18446744073709551615")) << term;
    const auto mark = refusal_with(control.commit.sync, shm::layout::sync_snapshot);
    EXPECT_TRUE(mark.starts_with(begin) && mark.find("not whole") != std::string::npos) << mark;
  }
  EXPECT_TRUE(transfer_->finish(Term{3}).ok()) << "once that is not so any more";
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

TEST_F(TransferTest, ACopyThatEndsBeforeTheMirrorsLastWordIsNotServedFrom) {
  ASSERT_OK(outcome([&](auto done) { transfer_->prepare(done); }));
  auto guest = shm::Region::open(region_path(), shm::Access::ReadWrite, spec_.region_bytes);
  ASSERT_TRUE(guest.ok()) << guest.error().message;
  auto writer = guest->store(net::net_store_name).value().become_writer(Term{2});
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  net::NeighborKey key;
  net::NeighborValue value;
  key.address = net::test::ip("10.1.2.9").bytes;
  key.port = net::make_port_name("ext").value();
  key.family = 4;
  value.mac = net::test::mac("02:00:00:00:77:01").bytes;
  value.state = NUD_STALE;
  const auto last = writer->put(net::NeighborTable, shm::as_bytes_of(key), shm::as_bytes_of(value));
  ASSERT_TRUE(last.ok()) << last.error().message;
  const std::string net = net::net_store_name;

  const auto less = transfer_->finish(Term{3}, {{net, Sequence{last->value + 1}}});
  EXPECT_NE(less.error().message.find("\"net\""), std::string::npos) << less.error().message;
  EXPECT_EQ(::testing::PrintToString(alarms_), "{}");
  EXPECT_TRUE(transfer_->finish(Term{3}, {{net, *last}, {"of the guest's own making", Sequence{9}}}).ok());
  EXPECT_EQ(::testing::PrintToString(alarms_), "{}");
  EXPECT_TRUE(transfer_->finish(Term{3}, {{net, Sequence{}}}).ok());
  EXPECT_EQ(alarms_.size(), 1U) << "it wrote on after its last word";
  EXPECT_TRUE(outcome([&](auto done) { transfer_->discard(done); }).ok());
}

}  // namespace
}  // namespace understudy::host
