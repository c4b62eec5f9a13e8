// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A process that has mapped nothing of any region yet looks at an image, as a reader or a next writer would that is
/// started after the freeze: what it finds comes from the file alone, and nothing that the writer's process knows.
///
///   the writer's process                            the fresh one
///     no_region_in_children()
///     a store; in_a_fresh_process(look)  --fork-->    look(): opens the file, goes on writing a copy
///                                        <--told--    violations, the commit point found

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "image_check.hpp"

namespace understudy::shm::crash {

/// What the fresh process tells.
struct Told {
  std::vector<std::string> violations;
  std::uint64_t images = 0;  ///< that it looked at in turn
  bool found = false;        ///< it was one of the states that it may be
  std::uint64_t committed = 0;
  std::uint64_t noted = 0;  ///< what else the test asked for
};

/// Whatever of a crash test's files is mapped now is mapped in no process that is forked from here on.
void no_region_in_children();

/// How many of the images a fresh process looks at. A fork costs as much as the look itself, under a sanitizer many
/// times as much: of those of a prefix it is every one in the long run, ordinarily one of four, the others are looked
/// at where the writer is.
enum class Share { OfPrefixes, All };

/// One that dies or does not end is a violation. `look` must not report to the test but by `told`.
Told in_a_fresh_process(const std::function<void(Told& told)>& look, Share share = Share::OfPrefixes);

/// The same by a program of its own (image_checker.cpp), which is linked with the product's library and is told the
/// file, the states that it may be in, and the change in flight; `copy` is the file that it goes on writing.
Told by_a_fresh_program(const std::string& path, const std::string& copy, const Expected& before, const Expected& after,
                        const std::vector<Step>& in_flight);

}  // namespace understudy::shm::crash
