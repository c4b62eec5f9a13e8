// SPDX-License-Identifier: Apache-2.0
/// The inputs that the region's fuzzer begins with go where they are meant to go.
#include <gtest/gtest.h>

#include <set>

#include "region_fuzz.hpp"

namespace understudy::shm::hostile {
namespace {

TEST(RegionSeeds, AreTakenByTheLibrary) {
  std::set<std::string> names;
  for (const auto& seed : region_seeds()) {
    EXPECT_TRUE(names.insert(seed.name).second) << seed.name;
    EXPECT_EQ(LLVMFuzzerTestOneInput(seed.input.data(), seed.input.size()), 0) << seed.name;
    if (seed.name.starts_with("frames-")) { EXPECT_EQ(frames_taken, frames_given) << seed.name; }
    if (seed.name.ends_with("-moving")) { EXPECT_GT(patches_that_came, 0U) << seed.name; }
  }
  EXPECT_GT(names.size(), 50U);
}

}  // namespace
}  // namespace understudy::shm::hostile
