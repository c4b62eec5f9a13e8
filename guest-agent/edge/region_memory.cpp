// SPDX-License-Identifier: Apache-2.0
#include "edge/region_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

namespace understudy::guest {

namespace {
namespace fs = std::filesystem;
constexpr const char* vendor_wanted = "0x1af4";
constexpr const char* device_wanted = "0x1110";
constexpr auto poll_pause = std::chrono::milliseconds(20);
constexpr auto device_deadline = std::chrono::seconds(2);  ///< from its driver's binding to its file in /dev
constexpr const char* page_of_dax = "2097152";

std::string first_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

/// 0 when there is no number.
std::uint64_t number_in(const fs::path& path) {
  const auto text = first_word(path);
  return std::strtoull(text.c_str(), nullptr, 0);
}

/// One write(2), as sysfs wants it.
Status write_attribute(const fs::path& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool written = file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (file >= 0) { close(file); }
  if (written) { return {}; }
  return failure("cannot write \"" + text + "\" to " + path.string() + ": " + std::strerror(error));
}

Error nothing(const std::string& what) { return failure(what, Errc::NotFound); }
}  // namespace

std::string describe(const RegionMemory& memory) {
  switch (memory.kind) {
    case MemoryKind::Ivshmem:
      return "ivshmem BAR " + memory.path;
    case MemoryKind::DeviceDax:
      return "device-dax " + memory.path;
    case MemoryKind::FsDax:
      return "fs-dax file " + memory.path;
  }
  return memory.path;
}

Result<RegionMemory> MemoryFinder::find() const {
  for (const auto look : {&MemoryFinder::find_bar, &MemoryFinder::find_device_dax, &MemoryFinder::find_fs_dax,
                          &MemoryFinder::from_nvdimm}) {
    auto found = (this->*look)();
    if (found || found.error().code != Errc::NotFound) { return found; }
  }
  return nothing("this guest has no ivshmem device (1af4:1110) and no nvdimm: was it started by the host-agent?");
}

Result<RegionMemory> MemoryFinder::find_bar() const {
  std::error_code error;
  for (const auto& device : fs::directory_iterator(root_ + "/sys/bus/pci/devices", error)) {
    if (first_word(device.path() / "vendor") != vendor_wanted) { continue; }
    if (first_word(device.path() / "device") != device_wanted) { continue; }
    std::ofstream(device.path() / "enable") << "1";
    const auto path = device.path() / "resource2";  // resource2_wc would combine writes
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || status.st_size <= 0) {
      return failure(path.string() + " has no size: the device has no memory");
    }
    std::ifstream resources(device.path() / "resource");  // "begin end flags", a line for each BAR
    std::string line;
    for (int bar = 0; bar <= 2; ++bar) { std::getline(resources, line); }
    return RegionMemory{MemoryKind::Ivshmem, path.string(), static_cast<std::uint64_t>(status.st_size),
                        std::strtoull(line.c_str(), nullptr, 0)};
  }
  return nothing("no ivshmem device");
}

Result<RegionMemory> MemoryFinder::find_device_dax() const {
  std::error_code error;
  for (const auto& device : fs::directory_iterator(root_ + "/sys/bus/dax/devices", error)) {
    const auto path = root_ + "/dev/" + device.path().filename().string();
    const auto bytes = number_in(device.path() / "size");
    if (bytes == 0 || !fs::exists(path, error)) { continue; }
    return RegionMemory{MemoryKind::DeviceDax, path, bytes, number_in(device.path() / "resource")};
  }
  return nothing("no device-dax");
}

Result<RegionMemory> MemoryFinder::find_fs_dax() const {
  std::ifstream mounts(root_ + "/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string source;
    std::string where;
    words >> source >> where;
    if (!source.starts_with("/dev/pmem")) { continue; }
    std::error_code error;
    std::string file;
    for (const auto& entry : fs::directory_iterator(root_ + where, error)) {
      if (!entry.is_regular_file(error)) { continue; }
      if (!file.empty()) {
        return failure(where + " on an nvdimm holds several files; the region must be its only one", Errc::Refused);
      }
      file = entry.path();
    }
    if (file.empty()) { return failure(where + " on an nvdimm holds no file for the region", Errc::Refused); }
    return RegionMemory{MemoryKind::FsDax, file, fs::file_size(file, error), 0};
  }
  return nothing("no file system on an nvdimm");
}

Result<RegionMemory> MemoryFinder::from_nvdimm() const {
  std::error_code error;
  const fs::path bus = root_ + "/sys/bus/nd/devices";
  for (const auto& device : fs::directory_iterator(bus, error)) {
    const auto name = device.path().filename().string();
    if (!name.starts_with("namespace") || number_in(device.path() / "size") == 0) { continue; }
    const auto mode = first_word(device.path() / "mode");
    Status made;
    if (mode == "raw") {
      made = make_device_dax(name);
    } else if (mode == "dax") {  // begun by somebody who did not come to its end, or by the kernel at this moment
      (void)write_attribute(root_ + "/sys/bus/nd/drivers/dax_pmem/bind", first_word(device.path() / "holder"));
    } else {
      made = failure("it is in mode " + mode + " and holds no mounted file system");
    }
    if (made) { return await_device_dax(name); }
    return failure("the nvdimm " + name + " cannot hold a region, since it is neither device-dax nor fs-dax (raw it " +
                       "would be page cache, no shared memory): " + made.error().message,
                   Errc::Refused);
  }
  return nothing("no nvdimm");
}

Result<RegionMemory> MemoryFinder::await_device_dax(const std::string& name_space) const {
  const auto until = std::chrono::steady_clock::now() + device_deadline;
  for (;;) {
    auto found = find_device_dax();
    if (found) { return found; }
    if (std::chrono::steady_clock::now() > until) {
      return failure("the nvdimm " + name_space +
                         " was made a device-dax, but there is no /dev/daxN.M: is the module device_dax in the "
                         "mirrors' image?",
                     Errc::Refused);
    }
    std::this_thread::sleep_for(poll_pause);
  }
}

/// What `ndctl create-namespace --mode=devdax --map=mem` does: the namespace leaves its block driver, a fresh dax
/// device of its memory region is given mode, alignment, a name and the namespace, and bound to its driver.
Status MemoryFinder::make_device_dax(const std::string& name_space) const {
  const fs::path bus = root_ + "/sys/bus/nd";
  const auto number = name_space.substr(std::string("namespace").size());  // "0.0" of region0
  const auto seed = first_word(bus / "devices" / ("region" + number.substr(0, number.find('.'))) / "dax_seed");
  if (seed.empty()) { return failure("its region has no dax_seed"); }
  const auto dax = bus / "devices" / seed;
  const auto uuid = first_word(root_ + "/proc/sys/kernel/random/uuid");
  (void)write_attribute(bus / "drivers/nd_pmem/unbind", name_space);  // not bound is as good
  const std::pair<fs::path, std::string> steps[] = {{dax / "mode", "ram"},
                                                    {dax / "align", page_of_dax},
                                                    {dax / "uuid", uuid},
                                                    {dax / "namespace", name_space},
                                                    {bus / "drivers/dax_pmem/bind", seed}};
  for (const auto& [path, text] : steps) {
    if (auto written = write_attribute(path, text); !written) { return written; }
  }
  return {};
}

Result<RegionMemory> wait_for_region_memory(const MemoryFinder& finder, std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    auto found = finder.find();
    if (found || std::chrono::steady_clock::now() > until) { return found; }
    std::this_thread::sleep_for(poll_pause);
  }
}

Result<MappedMemory> MappedMemory::open(const RegionMemory& memory) {
  const int file = ::open(memory.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) { return failure("cannot open " + memory.path + ": " + std::strerror(errno)); }
  void* at = mmap(nullptr, memory.bytes, PROT_READ, MAP_SHARED, file, 0);
  const int error = errno;
  close(file);
  if (at == MAP_FAILED) { return failure("cannot map " + memory.path + ": " + std::strerror(error)); }
  return MappedMemory(static_cast<const std::byte*>(at), memory.bytes);
}

MappedMemory::MappedMemory(MappedMemory&& other) noexcept
    : at_(std::exchange(other.at_, nullptr)), size_(other.size_) {}

MappedMemory::~MappedMemory() {
  if (at_ != nullptr) { munmap(const_cast<std::byte*>(at_), size_); }
}

Status refuse_write_combining(const RegionMemory& memory, const std::string& root) {
  if (memory.physical_begin == 0) { return {}; }
  // "PAT: [mem 0x0000000100000000-0x0000000102200000] write-back"
  std::ifstream list(root + "/sys/kernel/debug/x86/pat_memtype_list");
  for (std::string line; std::getline(list, line);) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    const auto at = line.find("[mem ");
    if (at == std::string::npos || std::sscanf(line.c_str() + at, "[mem %llx-%llx]", &begin, &end) != 2) { continue; }
    const bool ours = begin < memory.physical_begin + memory.bytes && memory.physical_begin < end;
    if (ours && line.find("write-combining") != std::string::npos) {
      return failure(
          describe(memory) +
              " is mapped write-combining in this guest, which lets stores arrive in another order than they "
              "were made; nobody may use resource2_wc, no driver of the guest may take the device",
          Errc::Refused);
    }
  }
  return {};
}

}  // namespace understudy::guest
