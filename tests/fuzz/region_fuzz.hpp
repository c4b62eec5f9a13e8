// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The region's fuzz target, and the inputs that it begins with: a fuzzer that had to find out by itself where a slot's
/// head lies, or what a journal entry looks like, would be at it for days.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace understudy::shm::hostile {

/// Of the last input: frames that it held, and how many of them were taken; patches that came while the calls ran.
inline std::size_t frames_given = 0;
inline std::size_t frames_taken = 0;
inline std::size_t patches_that_came = 0;

struct Seed {
  std::string name;
  std::vector<std::uint8_t> input;
};
/// One or more for each part of the layout, for each frame of a sender, and both while it is read.
std::vector<Seed> region_seeds();

}  // namespace understudy::shm::hostile
