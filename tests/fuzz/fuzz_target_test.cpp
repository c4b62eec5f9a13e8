// SPDX-License-Identifier: Apache-2.0
/// Some hundred inputs of the fuzzer's target, made up here: the ordinary run keeps the target itself from rotting.
/// The coverage-guided run is fuzz.sh (label full).
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

TEST(FuzzTarget, SurvivesMadeUpInputs) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 600; ++round) {
    std::vector<std::uint8_t> input(random() % 400 + 2);
    for (auto& byte : input) { byte = static_cast<std::uint8_t>(random() % 4 == 0 ? 0 : random()); }
    input[0] = static_cast<std::uint8_t>(round);
    EXPECT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0);
  }
}

}  // namespace
