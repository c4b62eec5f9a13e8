// SPDX-License-Identifier: Apache-2.0
/// A forked child has its parent's objects, and is no second writer by them.
/// Covers: shared-mem/src/writer_lock.cpp
#include <signal.h>
#include <sys/wait.h>

#include <functional>
#include <optional>

#include "region_fixture.hpp"
#include "understudy/shm/arena.hpp"

namespace understudy::shm {
namespace {

/// A child that says one thing and lives until it is let go.
class Child {
 public:
  explicit Child(const std::function<std::string()>& run) {
    if (::pipe(says_.data()) != 0 || ::pipe(waits_.data()) != 0) { std::abort(); }
    pid_ = ::fork();
    if (pid_ != 0) {
      ::close(says_[1]);
      ::close(waits_[0]);
      return;
    }
    ::close(says_[0]);
    ::close(waits_[1]);
    const std::string said = run() + "\n";  // the pipe's other end may be another child's too
    if (::write(says_[1], said.data(), said.size()) < 0) { ::_exit(2); }
    ::close(says_[1]);
    char byte = 0;
    (void)!::read(waits_[0], &byte, 1);  // the end of it
    ::_exit(0);
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] std::string said() const {
    std::string all;
    char byte = 0;
    while (::read(says_[0], &byte, 1) == 1 && byte != '\n') { all += byte; }
    return all;
  }
  void kill() const { ::kill(pid_, SIGKILL); }
  void end() {
    if (pid_ <= 0) { return; }
    ::close(waits_[1]);
    ::waitpid(pid_, nullptr, 0);
    ::close(says_[0]);
    pid_ = 0;
  }

 private:
  pid_t pid_ = -1;
  std::array<int, 2> says_{};
  std::array<int, 2> waits_{};
};

template <class T>
std::string told(const T& result) {
  if (result.ok()) { return "done; "; }
  return result.error().code == Errc::Refused ? "refused; " : result.error().message + "; ";
}

class AForkedChild : public testing::Test {
 protected:
  void SetUp() override {
    writer.emplace(store.become_writer(Term{3}).value());
    for (std::uint64_t id = 0; id < 10; ++id) { ASSERT_TRUE(put(*writer, id, id).ok()); }
  }
  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
  std::optional<StoreWriter> writer;
};

TEST_F(AForkedChild, WritesNothingWithItsParentsWriterAndIsToldWhy) {
  Child child([&] {
    std::string said;
    for (std::uint64_t id = 0; id < 10; ++id) {
      const auto done = put(*writer, id, 77);
      said = done ? "done" : done.error().message;
    }
    return said;
  });
  EXPECT_EQ(child.said(),
            "store \"state\" is written by the process that this one was forked from: a forked child may read it, and "
            "write only once it has become the writer itself");
  EXPECT_EQ(put(*writer, 10, 10).value(), Sequence{11});
  EXPECT_EQ(store.committed(), Sequence{11});
  for (std::uint64_t id = 0; id <= 10; ++id) { EXPECT_EQ(get(store, id), id); }
}

TEST_F(AForkedChild, IsRefusedByEveryCallThatWrites) {
  ASSERT_TRUE(writer->begin());
  ASSERT_TRUE(put(*writer, 20, 20));
  Child child([&] {
    std::string said = told(writer->commit()) + told(erase(*writer, 1)) + told(writer->rebuild(flows));
    const std::array<Key, 2> keys{{{1}, {2}}};
    const std::array<Value, 2> values{};
    said += told(writer->put_many(flows, std::as_bytes(std::span(keys)), std::as_bytes(std::span(values))));
    said += told(writer->apply({})) + told(writer->begin_sync(true)) + told(writer->accept_unsynced());
    said += told(writer->extend_history({})) + told(writer->end_sync(Sequence{5}, {}, {}));
    return said + told(writer->apply_snapshot_record(flows, as_bytes_of(keys[0]), as_bytes_of(values[0]), Sequence{5}));
  });
  std::string refused;
  for (int i = 0; i < 10; ++i) { refused += "refused; "; }
  EXPECT_EQ(child.said(), refused);
  EXPECT_FALSE(store.syncing());
  EXPECT_TRUE(writer->commit());
  EXPECT_EQ(get(store, 20), 20U);
}

TEST_F(AForkedChild, ReadsWhatItsParentWrites) {
  ASSERT_TRUE(put(*writer, 10, 100));
  Child child([&] { return std::to_string(get(store, 10).value_or(0)) + " " + std::to_string(store.count(flows)); });
  EXPECT_EQ(child.said(), "100 11");
}

TEST_F(AForkedChild, ThatIsDoneWithItsCopyLeavesTheParentsLock) {
  Child child([&] {
    writer.reset();
    return told(store.can_become_writer(Term{4}));
  });
  EXPECT_EQ(child.said(), "refused; ") << "the parent has it";
  child.end();
  EXPECT_EQ(store.can_become_writer(Term{4}).error().code, Errc::Refused);
  EXPECT_TRUE(put(*writer, 10, 10));
}

TEST_F(AForkedChild, DoesNotKeepTheLockOfAParentThatIsDone) {
  Child child([] { return std::string("lives"); });
  ASSERT_EQ(child.said(), "lives");
  writer.reset();
  const auto next = store.become_writer(Term{4});
  EXPECT_TRUE(next.ok()) << next.error().message;
}

TEST_F(AForkedChild, DoesNotKeepTheLockOfAParentThatWasKilled) {
  writer.reset();
  std::optional<Child> grandchild;
  Child parent([&] {
    writer.emplace(store.become_writer(Term{4}).value());
    grandchild.emplace([] { return std::string("lives"); });
    return grandchild->said();
  });
  ASSERT_EQ(parent.said(), "lives");
  EXPECT_EQ(store.can_become_writer(Term{5}).error().code, Errc::Refused);
  parent.kill();
  parent.end();
  const auto next = store.become_writer(Term{5});
  EXPECT_TRUE(next.ok()) << next.error().message;
}

TEST_F(AForkedChild, BecomesTheWriterOfWhatNobodyWritesAndItsOwnChildDoesNot) {
  writer.reset();
  Child child([&] {
    writer.emplace(store.become_writer(Term{4}).value());
    std::string said = told(put(*writer, 10, 10));
    Child second([&] { return told(put(*writer, 10, 77)); });
    said += second.said();
    return said + told(put(*writer, 11, 11));
  });
  EXPECT_EQ(child.said(), "done; refused; done; ");
  EXPECT_EQ(get(store, 10), 10U);
  EXPECT_EQ(get(store, 11), 11U);
}

TEST(AForkedChildWithAnArena, MakesNoCheckpointAndLeavesItsParentsArenaAttached) {
  constexpr std::uint64_t page = 4096;
  const RegionFile file;
  const auto region =
      Region::create(file.path(), 1 << 20, {{with_arena({"state", {{"flows", 8, 24, 50}}, 64 << 10}, 8 * page)}})
          .value();
  const auto store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  std::optional<Arena> arena = Arena::attach(writer).value();
  arena->memory()[page] = std::byte{1};
  Child child([&] {
    const std::string said = told(arena->checkpoint()) + told(arena->detach());
    arena.reset();
    return said + told(Arena::attach(writer));
  });
  EXPECT_EQ(child.said(), "refused; refused; refused; ");
  child.end();
  arena->memory()[2 * page] = std::byte{2};
  ASSERT_TRUE(arena->checkpoint());
  EXPECT_EQ(store.count(store.table(arena_table_name).value()), 2U) << "both pages were seen";
}

}  // namespace
}  // namespace understudy::shm
