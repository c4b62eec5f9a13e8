// SPDX-License-Identifier: Apache-2.0
/// What opening says, by each way to a region: {path, path at an offset, descriptor, descriptor at an offset, a BAR's
/// file} x every state, in C++ and in C, to who looks and to who opens.
/// Covers: shared-mem/src/region.cpp, shared-mem/src/c_api/region.cpp
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "understudy/shm/region.hpp"
#include "understudy/understudy.h"

namespace understudy::shm {
namespace {

constexpr std::uint64_t bytes = 1 << 20;

const understudy_table_schema c_tables[] = {{"items", 8, 8, 4, UNDERSTUDY_TABLE_HASHED, 0}};
const understudy_store_schema c_store = {"orders", c_tables, 1, 65536, 0};
const understudy_store_schema c_other = {"deliveries", c_tables, 1, 65536, 0};
RegionSchema schema(const std::string& store = "orders") { return {{{store, {{"items", 8, 8, 4}}, 65536, 0}}}; }

struct Way {
  const char* name;
  bool by_descriptor;
  std::uint64_t offset;
  bool is_bar = false;  ///< memory of a fixed size that was there before: formatted, never made anew
};

/// The file as it is opened, and what is wanted of it.
struct Case {
  std::string path;
  std::uint64_t offset = 0;
  Term lowest{};
  bool other_schema = false;
  bool closed = false;  ///< its descriptor

  void overwrite(std::uint64_t at, char byte) const {
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
        .seekp(static_cast<std::streamoff>(offset + at))
        .put(byte);
  }
};

struct Row {
  RegionState state;
  understudy_region_state c_state;
  std::optional<Errc> code;  ///< of opening
  std::function<void(Case&)> make_so;
};

const Row rows[] = {
    {RegionState::Absent, UNDERSTUDY_REGION_ABSENT, Errc::NotFound, [](Case& of) { std::filesystem::remove(of.path); }},
    {RegionState::Foreign, UNDERSTUDY_REGION_FOREIGN, Errc::Damaged, [](Case& of) { of.overwrite(0, 'x'); }},
    {RegionState::OtherLayoutVersion, UNDERSTUDY_REGION_OTHER_LAYOUT_VERSION, Errc::Damaged,
     [](Case& of) { of.overwrite(8, 99); }},
    {RegionState::OtherSchema, UNDERSTUDY_REGION_OTHER_SCHEMA, Errc::Damaged, [](Case& of) { of.other_schema = true; }},
    {RegionState::Damaged, UNDERSTUDY_REGION_DAMAGED, Errc::Damaged, [](Case& of) { of.overwrite(100, 'x'); }},
    {RegionState::StaleTerm, UNDERSTUDY_REGION_STALE_TERM, Errc::Refused, [](Case& of) { of.lowest = Term{8}; }},
    {RegionState::Good, UNDERSTUDY_REGION_GOOD, std::nullopt, [](Case& of) { of.lowest = Term{7}; }},
    {RegionState::Unreadable, UNDERSTUDY_REGION_UNREADABLE, Errc::BadInput,
     [](Case& of) {
       of.offset += 100;  // no page begins there
       of.closed = true;
     }},
};

understudy_status status_of(std::optional<Errc> code) {
  return code ? static_cast<understudy_status>(static_cast<int>(*code) + 1) : UNDERSTUDY_OK;
}

class Ways : public testing::TestWithParam<Way> {
 protected:
  ~Ways() override { std::filesystem::remove(path_); }

  void say_the_same(const Row& row, const Case& of, int fd) {
    const Wanted wanted{of.lowest, schema(of.other_schema ? "deliveries" : "orders")};
    const bool by_fd = GetParam().by_descriptor;
    EXPECT_EQ(
        by_fd ? Region::inspect(fd, bytes, of.offset, wanted) : Region::inspect(of.path, bytes, of.offset, wanted),
        row.state);
    auto found = RegionState::Absent;
    const auto opened = by_fd ? Region::open(fd, Access::ReadOnly, bytes, of.offset, wanted, &found)
                              : Region::open(of.path, Access::ReadOnly, bytes, of.offset, wanted, &found);
    EXPECT_EQ(found, row.state) << "the state with the error";
    EXPECT_EQ(opened ? std::nullopt : std::optional(opened.error().code), row.code);

    const understudy_memory memory{by_fd ? nullptr : of.path.c_str(), fd, bytes, of.offset};
    const understudy_wanted c_wanted{of.lowest.value, of.other_schema ? &c_other : &c_store, 1};
    EXPECT_EQ(understudy_region_inspect_memory(&memory, &c_wanted), row.c_state);
    auto c_found = row.state == RegionState::Good ? UNDERSTUDY_REGION_ABSENT : UNDERSTUDY_REGION_GOOD;  // neither
    understudy_region* region = nullptr;
    EXPECT_EQ(understudy_region_open_memory(&memory, 0, &c_wanted, &c_found, &region), status_of(row.code));
    EXPECT_EQ(c_found, row.c_state);
    EXPECT_EQ(region != nullptr, row.state == RegionState::Good);
    if (row.code) { EXPECT_EQ(understudy_last_error(), opened.error().message); }
    understudy_region_close(region);
    EXPECT_STREQ(understudy_region_state_name(row.c_state), to_string(row.state));
  }

  /// Every byte of it the same: of a device that is new, or one that does not answer any more (0xff).
  void make_bar(char byte) const { std::ofstream(path_, std::ios::binary) << std::string(bytes, byte); }

  const std::string path_ = "/dev/shm/understudy-ways-test-" + std::to_string(::getpid());
};

TEST_P(Ways, EachSaysWhichOfTheStatesItIs) {
  for (const Row& row : rows) {
    SCOPED_TRACE(to_string(row.state));
    Case of{path_, GetParam().offset};
    {
      if (GetParam().is_bar) { make_bar('\0'); }
      const auto region = GetParam().is_bar ? Region::format(path_, bytes, schema()).value()
                                            : Region::create(path_, bytes, schema(), of.offset).value();
      const auto writer = region.store("orders").value().become_writer(Term{7}).value();
    }
    const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    row.make_so(of);
    if (of.closed) { ::close(fd); }
    // A descriptor that is open refers to something: by one nothing is absent.
    if (!GetParam().by_descriptor || row.state != RegionState::Absent) { say_the_same(row, of, fd); }
    if (!of.closed) { ::close(fd); }
  }
}

INSTANTIATE_TEST_SUITE_P(ToARegion, Ways,
                         testing::Values(Way{"path", false, 0}, Way{"path_at_an_offset", false, 2 << 20},
                                         Way{"descriptor", true, 0}, Way{"descriptor_at_an_offset", true, 2 << 20},
                                         Way{"bar", false, 0, true}),
                         [](const auto& way) { return std::string(way.param.name); });

class ABar : public Ways {};
INSTANTIATE_TEST_SUITE_P(OfADevice, ABar, testing::Values(Way{"bar", false, 0, true}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(ABar, ThatWasNeverWrittenOrDoesNotAnswerIsForeignAndIsFormattedInPlace) {
  for (const char byte : {'\0', '\xff'}) {
    make_bar(byte);
    say_the_same({RegionState::Foreign, UNDERSTUDY_REGION_FOREIGN, Errc::Damaged, {}}, Case{path_}, -1);
    const auto inode = [&] {
      struct stat info {};
      EXPECT_EQ(::stat(path_.c_str(), &info), 0);
      return info.st_ino;
    };
    const auto before = inode();
    ASSERT_TRUE(Region::format(path_, bytes, schema()).ok());
    EXPECT_EQ(inode(), before);
    say_the_same({RegionState::Good, UNDERSTUDY_REGION_GOOD, std::nullopt, {}}, Case{path_}, -1);
  }
}

TEST(ANewRegion, InCTakesNobodysPlace) {
  const std::string path = "/dev/shm/understudy-create-new-test-" + std::to_string(::getpid());
  understudy_region* first = nullptr;
  understudy_region* second = nullptr;
  std::uint64_t needed = 0;
  ASSERT_EQ(understudy_region_size_needed(&c_store, 1, &needed), UNDERSTUDY_OK);
  EXPECT_EQ(needed, bytes);
  EXPECT_EQ(understudy_region_create_new(path.c_str(), 0, 0, &c_store, 1, &first), UNDERSTUDY_OK)
      << understudy_last_error();
  EXPECT_EQ(understudy_region_create_new(path.c_str(), 0, 0, &c_other, 1, &second), UNDERSTUDY_REFUSED);
  EXPECT_EQ(second, nullptr);
  EXPECT_NE(std::string(understudy_last_error()).find(path), std::string::npos);
  std::size_t stores = 0;
  ASSERT_NE(first, nullptr);
  EXPECT_STREQ(understudy_region_schema(first, &stores)->name, "orders");
  EXPECT_EQ(stores, 1U);
  EXPECT_EQ(understudy_region_path(first), path);
  understudy_region_close(first);
  EXPECT_EQ(Region::inspect(path, {}, 0, {Term{}, schema()}), RegionState::Good) << "the first one's";

  ASSERT_EQ(understudy_region_create_at(path.c_str(), bytes, 4096, &c_other, 1, &first), UNDERSTUDY_OK);
  understudy_region_close(first);
  const understudy_memory memory{path.c_str(), -1, bytes, 4096};
  EXPECT_EQ(understudy_region_inspect_memory(&memory, nullptr), UNDERSTUDY_REGION_GOOD);
  ASSERT_EQ(understudy_region_format_memory(&memory, &c_store, 1, &first), UNDERSTUDY_OK);
  understudy_region_close(first);
  EXPECT_EQ(Region::inspect(path, bytes, 4096, {Term{}, schema()}), RegionState::Good);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace understudy::shm
