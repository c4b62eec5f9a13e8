// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a mirror's region is to its guest (D7): an ivshmem BAR, or an nvdimm where that is missing or would be slow.
///
///   auto ─► has this QEMU ivshmem-plain (`-device help`)? ─ no ─► nvdimm
///              └ yes ─► would the guest see the BAR uncached? ─ yes ─► nvdimm (if there is one)
///                          └ no ─► ivshmem
///
/// KVM on AMD honours the memory type that the guest asks for, and Linux maps a BAR uncached; so does KVM on Intel for
/// a guest with a device whose DMA is not coherent. An nvdimm is ordinary memory to every guest.

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "edge/guests/qemu_command.hpp"

namespace understudy::host {

struct RegionDeviceChoice {
  RegionDevice device = RegionDevice::Ivshmem;
  std::string reason;  ///< one sentence for the log
};

/// Which of the two a QEMU has.
struct QemuDevices {
  bool ivshmem = false;
  bool nvdimm = false;
};
[[nodiscard]] QemuDevices devices_in(const std::string& device_help);

/// Why a guest on this machine would see a BAR uncached; empty: it would not, or nothing tells. `root` is put before
/// /proc and /sys.
[[nodiscard]] std::string uncached_bar_reason(Accelerator accelerator, const std::string& root = "");

/// BadInput: `wanted` is neither "auto", "ivshmem" nor "nvdimm". NotFound: this QEMU has not what is wanted.
Result<RegionDeviceChoice> decide_region_device(const std::string& wanted, const QemuDevices& devices,
                                                const std::string& uncached_reason);

struct RegionDeviceOptions {
  std::string wanted = "auto";
  std::string qemu = "qemu-system-x86_64";
  Accelerator accelerator = Accelerator::Tcg;
  std::chrono::milliseconds deadline{10000};  ///< for QEMU's answer
};

/// Asks QEMU, then decides. `done` once, not from within the call.
void choose_region_device(boost::asio::io_context& io, RegionDeviceOptions options,
                          std::function<void(Result<RegionDeviceChoice>)> done);

}  // namespace understudy::host
