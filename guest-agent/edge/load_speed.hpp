// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How long a load from the region takes here, against one from this guest's own memory in the same run: the ratio
/// tells a cached mapping from an uncached one on any machine, the nanoseconds alone do not. Only told, never decided
/// upon.

#include <cstddef>
#include <functional>
#include <span>

namespace understudy::guest {

struct LoadSpeed {
  double load_ns = 0;
  double private_ns = 0;
};

/// Does `count` loads, each of which waits for the one before it.
using Loads = std::function<void(std::size_t count)>;

/// The median of many short runs: what another process or an interrupt takes away lengthens a few of them only.
double median_load_ns(const Loads& loads);

/// Dependent loads through `memory`, over and over the same pages, so that a cache can have them.
Loads dependent_loads(std::span<const std::byte> memory);

/// `memory` against as many private bytes; at least 4 KiB.
LoadSpeed measure_loads(std::span<const std::byte> memory);

}  // namespace understudy::guest
