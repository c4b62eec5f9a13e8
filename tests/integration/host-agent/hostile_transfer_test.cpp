// SPDX-License-Identifier: Apache-2.0
/// A guest that writes any bytes into its region while it is moved: header, descriptions, counters, journal, records,
/// pages of an arena, before the host looks and while it looks. Each movement ends with an answer; one that is refused
/// leaves nothing behind, and the guest goes on; no byte outside of the guest's own region is another one afterwards.
/// Covers: host-agent/edge/transfer_unit.cpp
#include <linux/neighbour.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>

#include "edge/transfer_unit.hpp"
#include "hostile/scribbler.hpp"
#include "standby_bench.hpp"
#include "understudy/shm/layout.hpp"
#include "unit/shared-mem/raw_region.hpp"

namespace understudy::host {
namespace {

constexpr std::uint64_t corruptions_least = 5000;
constexpr Term guests_term{2};
constexpr Term hosts_term{3};
constexpr std::uint64_t page_bytes = 4096;

/// Where a word of a region means something.
struct Span {
  std::uint64_t first;
  std::uint64_t last;
};

class HostileTransferTest : public StandbyBench {
 protected:
  void SetUp() override {
    StandbyBench::SetUp();
    if (IsSkipped() || HasFatalFailure()) { return; }
    spec_ = role_with({});
    spec_.application.store = "state";
    spec_.application.journal_bytes = 64 * 1024;
    spec_.application.tables = {{"things", 8, 8, 100}, {"texts", 8, 200, 40, 1}, {"arena", 8, page_bytes, 16, 2}};
    const auto schema = place::region_schema(spec_);
    spec_.region_bytes = shm::Region::size_needed(schema).value();
    ASSERT_OK(shm::Region::create(region_path(), spec_.region_bytes, schema));
    ASSERT_OK(shm::Region::create(neighbours_path(), 1 << 20, {{{"state", {{"things", 8, 8, 10}}, 64 << 10}}}));
    neighbours_ = bytes_of(neighbours_path());
    raw_.emplace(region_path(), spec_.region_bytes);
    guest_writes(1);
    good_ = bytes_of(region_path());
    find_what_means_something();
    anew();
  }
  void TearDown() override {
    transfer_.reset();
    StandbyBench::TearDown();
  }

  [[nodiscard]] std::string neighbours_path() const { return region_path() + ".of-another-role"; }
  static std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void anew() {
    place::RolePlaceCallbacks callbacks;
    callbacks.on_application_exit = [](const std::string&) {};
    callbacks.on_alarm = [](const std::string&, const std::string&) {};
    transfer_ = std::make_unique<TransferUnit>(io_, config_, *network_, spec_, callbacks);
  }
  /// As a guest that serves: its kernel's neighbours, its application's records.
  void guest_writes(std::uint64_t number) {
    auto region = shm::Region::open(region_path(), shm::Access::ReadWrite, spec_.region_bytes);
    ASSERT_TRUE(region.ok()) << region.error().message;
    auto kernel = region->store(net::net_store_name).value().become_writer(guests_term);
    ASSERT_TRUE(kernel.ok()) << kernel.error().message;
    net::NeighborKey key;
    key.port = net::make_port_name("ext").value();
    key.family = 4;
    net::NeighborValue value;
    value.mac = net::test::mac("02:00:00:00:77:01").bytes;
    value.state = NUD_STALE;
    for (std::uint64_t n = 0; n < 20; ++n) {
      key.address = net::test::ip("10.1.2." + std::to_string(2 + (number + n) % 200)).bytes;
      ASSERT_TRUE(kernel->put(net::NeighborTable, shm::as_bytes_of(key), shm::as_bytes_of(value)).ok());
    }
    auto own = region->store("state").value().become_writer(guests_term);
    ASSERT_TRUE(own.ok()) << own.error().message;
    const std::vector<std::byte> text(150);
    const std::vector<std::byte> page(page_bytes, std::byte{7});
    for (std::uint64_t n = 0; n < 10; ++n) {
      ASSERT_TRUE(own->put(0, shm::as_bytes_of(n), shm::as_bytes_of(number)).ok());
      ASSERT_TRUE(own->put(1, shm::as_bytes_of(n), text).ok());
      ASSERT_TRUE(own->put(2, shm::as_bytes_of(n), page).ok());
    }
  }
  void find_what_means_something() {
    const auto header = raw_->header();
    meaning_.push_back({0, sizeof(shm::layout::RegionHeader) / 8});  // of 8 stores, two of them described
    meaning_.push_back({0, 64 + 2 * sizeof(shm::layout::StoreDescription)});
    for (const auto& store : std::span(header.stores).first(header.store_count)) {
      const auto control = store.control_offset;
      meaning_.push_back({control, control + 192});         // writer, commit point, mirror
      meaning_.push_back({control, control + page_bytes});  // and history, counts, anchors, tables
      meaning_.push_back({store.journal_offset, store.journal_offset + 2048});
      for (const auto& table : std::span(store.tables).first(store.table_count)) {
        const std::uint64_t key_bytes = table.kind == shm::layout::table_dense ? 0 : table.key_bytes;
        const std::uint64_t value_bytes = table.kind == shm::layout::table_blob ? 8 : table.value_bytes;
        const std::uint64_t slot = 8 * shm::layout::slot_words(key_bytes, value_bytes);
        for (std::uint64_t n = 0; n < table.slot_count; ++n) {
          const auto at = table.slots_offset + n * slot;
          if (*raw_->word(at) != 0) { meaning_.push_back({at, at + std::min<std::uint64_t>(slot, 128)}); }
        }
      }
    }
  }
  /// One word, mostly where it means something.
  void corrupt(shm::hostile::Scribbler& scribbler, std::mt19937_64& random) {
    // The areas of counters are few and the slots many: half of all goes to the former.
    const std::size_t few = std::min<std::size_t>(meaning_.size(), 8);
    const auto& at = random() % 16 == 0  ? Span{0, spec_.region_bytes}
                     : random() % 2 == 0 ? meaning_[random() % few]
                                         : meaning_[random() % meaning_.size()];
    scribbler.scribble(random, at.first, at.last);
  }
  void restore() { std::memcpy(raw_->word(0), good_.data(), good_.size()); }

  /// The answer of an order, also one that is given at once; it must come.
  template <class Order>
  bool answers_well(const Order& order) {
    auto result = std::make_shared<std::optional<bool>>();
    order([result](const Status& status) { *result = status.ok(); });
    const bool answered = run_until([&] { return result->has_value(); });
    EXPECT_TRUE(answered) << "no answer";
    return answered && **result;
  }
  bool prepare() {
    return answers_well([&](auto done) { transfer_->prepare(done); });
  }
  void discard() {
    ASSERT_TRUE(answers_well([&](auto done) { transfer_->discard(done); }));
    EXPECT_FALSE(std::filesystem::exists(config_.run_dir + "/role-2.netns"));
    EXPECT_FALSE(network_->links().state("h2-ext").ok());
  }
  /// What the guest could not have written stands as it stood; with its own bytes back, it goes on and can be moved.
  void expect_only_the_guests_bytes_changed() {
    EXPECT_EQ(bytes_of(neighbours_path()), neighbours_);
    EXPECT_EQ(std::filesystem::file_size(region_path()), good_.size());
    restore();
    guest_writes(2);
    anew();
    EXPECT_TRUE(prepare());
    const auto finished = transfer_->finish(hosts_term);
    EXPECT_TRUE(finished.ok()) << finished.error().message;
    discard();
  }

  link::RoleSpec spec_;
  std::unique_ptr<TransferUnit> transfer_;
  std::optional<shm::RawRegion> raw_;
  std::string good_;
  std::string neighbours_;
  std::vector<Span> meaning_;
};

/// The host reads whatever the guest left: some of it before it is prepared for, the rest between preload and freeze.
TEST_F(HostileTransferTest, ARegionOfAnyBytesIsServedFromOrRefusedAndLeavesNothing) {
  shm::hostile::Scribbler guest(region_path(), spec_.region_bytes);
  std::mt19937_64 random(20);
  std::uint64_t corruptions = 0;
  std::uint64_t refused_at_once = 0;
  std::uint64_t refused_at_the_end = 0;
  std::uint64_t served = 0;
  const auto corrupt_some = [&](std::uint64_t most) {
    for (std::uint64_t n = 1 + random() % most; n > 0; --n, ++corruptions) { corrupt(guest, random); }
  };
  for (std::uint64_t round = 0; corruptions < corruptions_least; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    if (round % 3 == 0) { corrupt_some(40); }
    if (!prepare()) {
      ++refused_at_once;
    } else {
      bool good = true;
      const std::uint64_t most = 1 + random() % 20;
      for (std::uint64_t looks = random() % 20 + 1; good && looks > 0; --looks) {
        corrupt_some(most);
        good = transfer_->finish(hosts_term).ok();
      }
      ++(good ? served : refused_at_the_end);
      // The guest is dead by now: what it has left is written on by the host, or that says why not.
      if (good) {
        (void)answers_well([&](auto done) { transfer_->take_over(hosts_term, done); });
      }
    }
    ASSERT_NO_FATAL_FAILURE(discard());
    ASSERT_FALSE(HasFailure());
    anew();
    restore();
  }
  std::printf("%llu corruptions: %llu movements refused at once, %llu before the commit, %llu made\n",
              static_cast<unsigned long long>(corruptions), static_cast<unsigned long long>(refused_at_once),
              static_cast<unsigned long long>(refused_at_the_end), static_cast<unsigned long long>(served));
  EXPECT_GT(refused_at_once, 0U);
  EXPECT_GT(refused_at_the_end, 0U);
  EXPECT_GT(served, 0U);
  expect_only_the_guests_bytes_changed();
}

/// Another processor writes while the host preloads, follows and finishes.
TEST_F(HostileTransferTest, ARegionThatChangesWhileItIsLookedAtIsServedFromOrRefused) {
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> corruptions{0};
  std::thread guest([&] {
    shm::hostile::Scribbler scribbler(region_path(), spec_.region_bytes);
    std::mt19937_64 random(21);
    for (std::uint64_t n = 0; !done; ++n, ++corruptions) {
      if (n % 64 == 0) { restore(); }  // else nothing is left after a while that the host would look into
      corrupt(scribbler, random);
      std::this_thread::yield();
    }
  });
  constexpr int rounds_least = 20;
  std::uint64_t prepared = 0;
  for (int round = 0; (round < rounds_least || corruptions < corruptions_least) && !HasFailure(); ++round) {
    if (prepare()) {
      ++prepared;
      const auto seen = corruptions.load();
      EXPECT_TRUE(run_until([&] { return corruptions >= seen + 100; }));  // it follows meanwhile
      (void)transfer_->finish(hosts_term);
    }
    discard();
    anew();
  }
  done = true;
  guest.join();
  std::printf("%llu corruptions, %llu movements were prepared\n", static_cast<unsigned long long>(corruptions.load()),
              static_cast<unsigned long long>(prepared));
  EXPECT_GT(prepared, 0U);
  expect_only_the_guests_bytes_changed();
}

}  // namespace
}  // namespace understudy::host
