// SPDX-License-Identifier: Apache-2.0
#pragma once
/// QEMU's command line for one mirror, and what must hold before QEMU may start.

#include <cstdint>
#include <string>
#include <vector>

#include "edge/guests/guest_record.hpp"
#include "understudy/common/result.hpp"

namespace understudy::host {

enum class Accelerator : std::uint8_t { Kvm, Tcg };
[[nodiscard]] const char* to_string(Accelerator accelerator);

/// What the region is to the guest: the BAR of a PCI device, or an nvdimm (whose file is longer by its info block).
enum class RegionDevice : std::uint8_t { Ivshmem, Nvdimm };
[[nodiscard]] const char* to_string(RegionDevice device);
/// Smallest region of an nvdimm: Linux maps device-dax in pages of this size.
inline constexpr std::uint64_t nvdimm_region_bytes_min = std::uint64_t{2} << 20;

struct GuestOptions {
  std::string role;     ///< letters, digits, '.', '_' and '-'
  std::string run_dir;  ///< sockets, logs, record; exists
  std::string qemu = "qemu-system-x86_64";
  std::string kernel;     ///< bzImage, or an uncompressed vmlinux with a PVH entry (starts seconds sooner under TCG)
  std::string initramfs;  ///< made by build-image
  Accelerator accelerator = Accelerator::Tcg;
  std::uint32_t memory_mib = 192;
  std::string region_path;
  std::uint64_t region_bytes = 0;  ///< of the region, without an nvdimm's info block
  RegionDevice region_device = RegionDevice::Ivshmem;
  std::vector<GuestNic> nics;
  bool debug_shell = false;
  std::string kernel_arguments;  ///< besides the mirror's own
};

/// Where everything of this guest lies; its process is not set yet.
[[nodiscard]] GuestRecord plan_record(const GuestOptions& options);

/// BadInput or NotFound: QEMU would end, or worse, abort a running guest (a region whose size is no power of two).
/// Checks names, lengths of socket paths, kernel, initramfs and the region file.
Status check_options(const GuestOptions& options);

/// The region file exists with exactly the size of its device, its memory is allocated, and the region is a power of
/// two of at least 1 MiB (2 MiB as an nvdimm).
Status check_region_file(const std::string& path, std::uint64_t bytes, RegionDevice device = RegionDevice::Ivshmem);

[[nodiscard]] std::vector<std::string> qemu_command(const GuestOptions& options, const GuestRecord& record);

/// The machine alone, console on standard output, powered off once it is up: the try of an accelerator.
struct ProbeOptions {
  std::string qemu;
  std::string kernel;
  std::string initramfs;
  Accelerator accelerator = Accelerator::Kvm;
};
[[nodiscard]] std::vector<std::string> probe_command(const ProbeOptions& options);

}  // namespace understudy::host
