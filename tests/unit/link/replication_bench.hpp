// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Regions in /dev/shm, an active and a mirror in one io_context, and what is needed to look at them.

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "support/run_until.hpp"
#include "understudy/link/replication_receiver.hpp"
#include "understudy/link/replication_sender.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::link::replication {

using namespace std::chrono_literals;

inline constexpr std::size_t journal_bytes = 64 << 10;
inline const RoleId role{"role-1"};

/// Store "net" with two tables, store "sessions" with one.
inline shm::RegionSchema two_stores(std::uint64_t capacity = 4000) {
  return {{{"net", {{"flows", 8, 24, capacity}, {"routes", 12, 5, 100}}, journal_bytes},
           {"sessions", {{"sessions", 16, 100, 1000}}, journal_bytes}}};
}

class TestRegion {
 public:
  explicit TestRegion(const shm::RegionSchema& schema = two_stores())
      : region_(shm::Region::create(next_path(), shm::Region::size_needed(schema).value(), schema).value()) {}
  ~TestRegion() { ::unlink(region_.path().c_str()); }
  TestRegion(const TestRegion&) = delete;
  TestRegion& operator=(const TestRegion&) = delete;
  [[nodiscard]] shm::Region open() const { return shm::Region::open(region_.path(), shm::Access::ReadWrite).value(); }
  [[nodiscard]] shm::Store store(const std::string& name = "net") const { return region_.store(name).value(); }
  [[nodiscard]] shm::StoreWriter writer(std::uint64_t term, const std::string& name = "net") const {
    return store(name).become_writer(Term{term}).value();
  }

 private:
  static std::string next_path() {
    static std::atomic<int> number = 0;
    return "/dev/shm/understudy-link-" + std::to_string(::getpid()) + "-" + std::to_string(number++);
  }
  shm::Region region_;
};

inline std::vector<std::byte> bytes_of(std::uint64_t seed, std::size_t size) {
  std::vector<std::byte> bytes(size);
  if (size != 0) { std::memcpy(bytes.data(), &seed, std::min(size, sizeof seed)); }
  return bytes;
}
inline void put(shm::StoreWriter& writer, std::uint64_t key, std::uint64_t value, shm::TableIndex table = 0) {
  const auto& schema = writer.store().schema().tables[table];
  const auto done = writer.put(table, bytes_of(key, schema.key_bytes), bytes_of(value, schema.value_bytes));
  ASSERT_TRUE(done.ok()) << done.error().message;
}
inline void erase(shm::StoreWriter& writer, std::uint64_t key, shm::TableIndex table = 0) {
  const auto done = writer.erase(table, bytes_of(key, writer.store().schema().tables[table].key_bytes));
  ASSERT_TRUE(done.ok() || done.error().code == Errc::NotFound) << done.error().message;
}

using Content = std::map<std::pair<shm::TableIndex, std::vector<std::byte>>, std::vector<std::byte>>;
inline Content content_of(const shm::Store& store) {
  Content content;
  for (shm::TableIndex table = 0; table < store.schema().tables.size(); ++table) {
    const auto scanned = store.scan(table, Sequence{0}, [&](const shm::Store::Record& record) {
      content[{table, {record.key.begin(), record.key.end()}}] = {record.value.begin(), record.value.end()};
      return true;
    });
    EXPECT_TRUE(scanned.ok());
  }
  return content;
}

/// What a kernel that is kept hot from on_applied would hold.
struct HotCopy {
  std::map<std::string, Content> stores;
  std::function<Content(const std::string&)> held;  ///< for the comparison after a full snapshot

  [[nodiscard]] ReceiverCallbacks callbacks() {
    ReceiverCallbacks callbacks;
    callbacks.on_applied = [this](const std::string& store, std::span<const shm::JournalEntry> entries) {
      for (const auto& entry : entries) {
        auto& content = stores[store];
        const auto key = std::pair(entry.table, std::vector<std::byte>(entry.key.begin(), entry.key.end()));
        if (entry.op == shm::JournalEntry::Op::Put) {
          content[key] = {entry.value.begin(), entry.value.end()};
        } else {
          content.erase(key);
        }
      }
    };
    callbacks.on_snapshot_end = [this](const std::string& store, bool full) {
      if (!full) { return; }
      const auto now = held(store);
      std::erase_if(stores[store], [&](const auto& record) { return !now.contains(record.first); });
    };
    return callbacks;
  }
};

/// An active with its region and, when wanted, a mirror with its own, in one thread.
class Pair {
 public:
  explicit Pair(const shm::RegionSchema& schema = two_stores()) : active(schema), mirror(schema) {
    hot.held = [this](const std::string& store) { return content_of(mirror.store(store)); };
  }
  ~Pair() {
    receiver.reset();
    sender.reset();
    io.poll();
  }

  void start_sender(std::uint64_t term = 1, const TestRegion* of = nullptr) {
    SenderOptions options = sender_options;
    options.role = role;
    options.term = Term{term};
    options.address = IpAddress::parse(address).value();
    options.port = port;
    options.on_grant = [this](std::uint64_t nonce) { granted.push_back(nonce); };
    sender.emplace(io, options, (of != nullptr ? of : &active)->open(),
                   [this](SenderPhase phase, const std::string& why) {
                     sender_phases.push_back(phase);
                     sender_detail = why;
                   });
    const auto started = sender->start();
    ASSERT_TRUE(started.ok()) << started.error().message;
    port = sender->port();
  }
  void start_receiver(std::uint64_t term = 1, const TestRegion* into = nullptr) {
    auto callbacks = hot.callbacks();
    callbacks.on_phase = [this](ReceiverPhase phase, const std::string& why) {
      receiver_phases.push_back(phase);
      receiver_detail = why;
    };
    callbacks.on_grant_asked = [this](Term asked_term, std::uint64_t nonce) {
      asked.emplace_back(asked_term, nonce);
      if (grants) { receiver->grant(asked_term, nonce); }
    };
    ReceiverOptions options;
    options.role = role;
    options.backoff_max = 50ms;
    receiver.emplace(io, options, (into != nullptr ? into : &mirror)->open(), callbacks);
    auto target = receiver_target;
    target.active = IpAddress::parse(address).value();
    target.port = port;
    target.term = Term{term};
    const auto configured = receiver->configure(target);
    ASSERT_TRUE(configured.ok()) << configured.error().message;
  }
  template <class Condition>
  bool run_until(const Condition& condition, std::chrono::milliseconds limit = 20s) {
    return test::run_until(io, condition, limit);
  }
  bool synced() {
    return run_until([&] {
      return sender->status().phase == SenderPhase::Synced && receiver->status().phase == ReceiverPhase::Synced;
    });
  }
  /// Synced and nothing under way: both regions are the same, and so is what was told for hot installation.
  void expect_same() {
    ASSERT_TRUE(run_until([&] {
      return sender->status().phase == SenderPhase::Synced &&
             mirror.store("net").committed() == active.store("net").committed() &&
             mirror.store("sessions").committed() == active.store("sessions").committed();
    })) << "sender "
        << to_string(sender->status().phase) << " " << sender->status().detail << ", receiver "
        << to_string(receiver->status().phase) << " " << receiver->status().detail;
    for (const auto* store : {"net", "sessions"}) {
      const auto content = content_of(active.store(store));
      EXPECT_EQ(content_of(mirror.store(store)), content) << store;
      EXPECT_EQ(hot.stores[store], content) << store << " as installed";
      EXPECT_FALSE(mirror.store(store).syncing());
      EXPECT_TRUE(
          run_until([&] { return active.store(store).mirrored().acknowledged == active.store(store).committed(); }));
      EXPECT_TRUE(active.store(store).mirrored().protected_by_mirror);
    }
    EXPECT_TRUE(run_until([&] { return receiver->status().ready; }));
  }
  SenderStoreStatus net_status() { return sender->status().stores[0]; }

  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  SenderOptions sender_options;
  ReceiverTarget receiver_target;
  TestRegion active;
  TestRegion mirror;
  boost::asio::io_context io;
  HotCopy hot;
  std::optional<ReplicationSender> sender;
  std::optional<ReplicationReceiver> receiver;
  std::vector<SenderPhase> sender_phases;
  std::vector<ReceiverPhase> receiver_phases;
  std::string sender_detail;
  std::string receiver_detail;
  bool grants = true;  ///< the mirror grants whatever it is asked for
  std::vector<std::pair<Term, std::uint64_t>> asked;
  std::vector<std::uint64_t> granted;
};

}  // namespace understudy::link::replication
