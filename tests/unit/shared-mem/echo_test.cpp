// SPDX-License-Identifier: Apache-2.0
#include "understudy/shm/echo.hpp"

#include <filesystem>

#include "region_fixture.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

using Side = Echo::Side;

TEST(AnEcho, IsHeardThroughTheSameBytesOnly) {
  RegionFile shared;
  RegionFile other;
  for (const auto* file : {&shared, &other}) {
    ASSERT_TRUE(Region::create(file->path(), small_region_bytes, small_schema()));
  }
  auto host = Echo::open(shared.path(), small_region_bytes).value();
  auto guest = Echo::open(shared.path(), small_region_bytes).value();
  auto stranger = Echo::open(other.path(), small_region_bytes).value();
  const auto nonce = Echo::make_nonce();
  ASSERT_NE(nonce, 0U);
  host.say(Side::Host, nonce);
  guest.say(Side::Guest, 7);
  EXPECT_EQ(guest.hear(Side::Host), nonce);
  EXPECT_EQ(host.hear(Side::Guest), 7U);
  EXPECT_EQ(stranger.hear(Side::Host), 0U);
}

TEST(AnEcho, LeavesTheRegionBesideItAsItIs) {
  RegionFile file;
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema(), nvdimm_info_bytes));
  auto region = Region::open(file.path(), Access::ReadWrite, small_region_bytes, nvdimm_info_bytes).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  ASSERT_TRUE(put(writer, 1, 1));
  Echo::open(file.path(), small_region_bytes, nvdimm_info_bytes).value().say(Side::Host, ~std::uint64_t{0});
  Echo::open(file.path(), small_region_bytes, nvdimm_info_bytes).value().say(Side::Guest, ~std::uint64_t{0});
  ASSERT_TRUE(put(writer, 2, 2));
  const auto again = Region::open(file.path(), Access::ReadOnly, small_region_bytes, nvdimm_info_bytes);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(content(again->store("state").value()), (Content{{1, 1}, {2, 2}}));
}

TEST(AnEcho, NeedsMemoryOfTheSizeThatIsTold) {
  RegionFile file;
  EXPECT_EQ(Echo::open(file.path(), small_region_bytes).error().code, Errc::NotFound);
  ASSERT_TRUE(Region::create(file.path(), small_region_bytes, small_schema()));
  EXPECT_EQ(Echo::open(file.path(), 2 * small_region_bytes).error().code, Errc::Damaged);
  EXPECT_EQ(Echo::open(file.path(), 4096).error().code, Errc::BadInput);
}

}  // namespace
}  // namespace understudy::shm
