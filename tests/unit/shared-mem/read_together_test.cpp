// SPDX-License-Identifier: Apache-2.0
/// Records of one transaction, read while it is committed.
/// Covers: shared-mem/src/store.cpp
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

class ReadTogether : public testing::Test {
 protected:
  /// Both have `value`, at once.
  void change(std::uint64_t value) {
    ASSERT_TRUE(writer.begin());
    ASSERT_TRUE(put(writer, 1, value));
    ASSERT_TRUE(put(writer, 2, value));
    ASSERT_TRUE(writer.commit());
  }
  /// `between` is called after the first and before the second is read.
  Result<Sequence> read(const std::function<void()>& between, int tries = Store::together_tries) {
    calls = 0;
    return store.read_together(
        [&]() -> Status {
          ++calls;
          first = get(store, 1);
          between();
          second = get(store, 2);
          return first ? Status() : Status(failure("there is none", Errc::NotFound));
        },
        tries);
  }
  RegionFile file;
  Region region = Region::create(file.path(), small_region_bytes, small_schema()).value();
  Store store = region.store("state").value();
  StoreWriter writer = store.become_writer(Term{1}).value();
  std::optional<std::uint64_t> first, second;
  int calls = 0;
};

TEST_F(ReadTogether, ReadsAgainWhatWasCommittedInBetween) {
  change(10);
  const auto at = read([&] {
    if (calls <= 3) { change(10 + static_cast<std::uint64_t>(calls)); }
  });
  ASSERT_TRUE(at.ok()) << at.error().message;
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(first, 13U);
  EXPECT_EQ(second, 13U);
  EXPECT_EQ(*at, writer.committed());
}

TEST_F(ReadTogether, SaysSoWhenTheStoreNeverStandsStill) {
  change(10);
  const auto at = read([&] { change(11); }, 7);
  ASSERT_FALSE(at.ok());
  EXPECT_EQ(at.error().code, Errc::Expired);
  EXPECT_EQ(calls, 7);
}

TEST_F(ReadTogether, TakesTheReadersErrorOnlyOfAStoreThatStoodStill) {
  EXPECT_EQ(read([] {}).error().code, Errc::NotFound);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(read([&] {
                if (calls == 1) { change(10); }
              }).ok())
      << "the first try found none";
  EXPECT_EQ(calls, 2);
}

TEST_F(ReadTogether, OfACopyThatIsSyncingIsRefusedAlsoWhenThatBeginsMeanwhile) {
  change(10);
  EXPECT_EQ(read([&] { ASSERT_TRUE(writer.begin_sync(true)); }).error().code, Errc::Refused);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(read([] {}).error().code, Errc::Refused);
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace understudy::shm
