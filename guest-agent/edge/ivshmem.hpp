// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The ivshmem device of this guest: PCI 1af4:1110, its memory is BAR 2 (QEMU docs/specs/ivshmem-spec.rst). Mapped
/// through sysfs, so no driver is needed in the guest.

#include <cstdint>
#include <string>

#include "understudy/common/result.hpp"

namespace understudy::guest {

struct IvshmemBar {
  std::string path;  ///< .../resource2
  std::uint64_t bytes = 0;
};

/// Finds the device and enables it. NotFound: QEMU was started without it.
Result<IvshmemBar> find_ivshmem();

/// Mean time of a 64-byte load over the first MiB. Above slow_load_ns the mapping is not cached: state would still be
/// right, but late (rule 24, D7).
inline constexpr double slow_load_ns = 200;
Result<double> measure_load_ns(const IvshmemBar& bar);

}  // namespace understudy::guest
