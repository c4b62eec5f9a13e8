// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/qemu_command.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "understudy/link/guest_channel.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::host {
namespace {

constexpr std::uint64_t mebibyte = 1U << 20;

/// A comma in a value of QEMU's key=value lists is written twice.
std::string escaped(const std::string& value) {
  std::string text;
  for (const char letter : value) { text.append(letter == ',' ? 2 : 1, letter); }
  return text;
}

bool plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name[0] != '-' && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char letter) {
           return std::isalnum(letter) != 0 || letter == '.' || letter == '_' || letter == '-';
         });
}

std::uint64_t file_bytes(std::uint64_t region_bytes, RegionDevice device) {
  return region_bytes + (device == RegionDevice::Nvdimm ? shm::nvdimm_info_bytes : 0);
}

/// `nvdimm_bytes`: 0 without one.
std::vector<std::string> machine(const std::string& qemu, Accelerator accelerator, std::uint32_t memory_mib,
                                 std::uint64_t nvdimm_bytes) {
  std::string memory = std::to_string(memory_mib);
  if (nvdimm_bytes != 0) {
    const auto dimm_mib = (nvdimm_bytes + mebibyte - 1) / mebibyte;
    memory = "size=" + memory + "M,slots=1,maxmem=" + std::to_string(memory_mib + dimm_mib) + "M";
  }
  // pc, not q35: it has fewer devices to set up, and nothing here needs PCI Express.
  // max without 5-level paging: TCG would walk one level more for every miss.
  return {qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine",
          std::string("pc,graphics=off,usb=off,vmport=off,dump-guest-core=off,") +
              (nvdimm_bytes != 0 ? "nvdimm=on," : "") + "accel=" + to_string(accelerator),
          "-cpu", accelerator == Accelerator::Kvm ? "host" : "max,la57=off", "-smp", "1", "-m", memory, "-rtc",
          "base=utc",
          // What breaks out of the guest finds a process that can neither start another one nor change its user.
          "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny"};
}

void add_kernel(std::vector<std::string>& command, const std::string& kernel, const std::string& initramfs,
                const std::string& arguments) {
  // panic=-1: reboot at once, which -no-reboot turns into QEMU's end, which the host-agent sees.
  command.insert(command.end(), {"-kernel", kernel, "-initrd", initramfs, "-append",
                                 "console=ttyS0 quiet panic=-1 cryptomgr.notests tsc=reliable audit=0 " + arguments});
}

void add_port(std::vector<std::string>& command, const std::string& id, const std::string& socket,
              const std::string& name) {
  command.insert(command.end(),
                 {"-chardev", "socket,id=" + id + ",server=on,wait=off,path=" + escaped(socket), "-device",
                  "virtserialport,bus=ports.0,id=" + id + "-port,chardev=" + id + ",name=" + name});
}

Status check_readable(const std::string& what, const std::string& path) {
  if (access(path.c_str(), R_OK) == 0) { return {}; }
  return failure(what + " " + path + " cannot be read: " + std::strerror(errno), Errc::NotFound);
}

}  // namespace

const char* to_string(RegionDevice device) { return device == RegionDevice::Nvdimm ? "nvdimm" : "ivshmem"; }
const char* to_string(Accelerator accelerator) { return accelerator == Accelerator::Kvm ? "kvm" : "tcg"; }

GuestRecord plan_record(const GuestOptions& options) {
  const std::string base = options.run_dir + "/mirror-" + options.role;
  GuestRecord record;
  record.role = options.role;
  record.accelerator = to_string(options.accelerator);
  record.qmp_socket = base + ".qmp.sock";
  record.agent_socket = base + ".agent.sock";
  if (options.debug_shell) {
    record.shell_socket = base + ".shell.sock";
    record.monitor_socket = base + ".monitor.sock";
  }
  record.console_log = base + ".console.log";
  record.qemu_log = base + ".qemu.log";
  record.region_path = options.region_path;
  record.region_bytes = options.region_bytes;
  record.nics = options.nics;
  return record;
}

Status check_region_file(const std::string& path, std::uint64_t bytes, RegionDevice device) {
  const auto refused = [&](const std::string& why) { return failure("region file " + path + why, Errc::BadInput); };
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    return failure("region file " + path + ": " + std::strerror(errno), Errc::NotFound);
  }
  if (!S_ISREG(found.st_mode)) { return refused(" is not a file"); }
  const auto least = device == RegionDevice::Nvdimm ? nvdimm_region_bytes_min : mebibyte;
  if (!std::has_single_bit(bytes) || bytes < least) {
    return refused(" has a region of " + std::to_string(bytes) + " bytes; a mirror with " + to_string(device) +
                   " needs a power of two, at least " + std::to_string(least / mebibyte) + " MiB");
  }
  if (static_cast<std::uint64_t>(found.st_size) != file_bytes(bytes, device)) {
    return refused(" has " + std::to_string(found.st_size) + " bytes, the role's region as " + to_string(device) +
                   " needs " + std::to_string(file_bytes(bytes, device)));
  }
  constexpr std::uint64_t block_bytes = 512;  // stat(2)
  if (static_cast<std::uint64_t>(found.st_blocks) * block_bytes < file_bytes(bytes, device)) {
    return refused(" has holes: whoever writes there dies when the memory runs out; allocate it with fallocate");
  }
  return {};
}

Status check_options(const GuestOptions& options) {
  if (!plain_name(options.role)) {
    return failure("role \"" + options.role + "\": write letters, digits, '.', '_' and '-'", Errc::BadInput);
  }
  if (options.memory_mib < 64 || options.memory_mib > 1024 * 1024) {
    return failure("a mirror of " + std::to_string(options.memory_mib) + " MiB memory: write 64 to 1048576",
                   Errc::BadInput);
  }
  const auto record = plan_record(options);
  for (const auto& socket : {record.qmp_socket, record.agent_socket, record.shell_socket, record.monitor_socket}) {
    if (socket.size() >= sizeof(sockaddr_un::sun_path)) {
      return failure("socket path " + socket + " is too long, choose a shorter run_dir", Errc::BadInput);
    }
  }
  for (const auto& nic : options.nics) {
    if (!plain_name(nic.id) || std::isalpha(static_cast<unsigned char>(nic.id[0])) == 0 || !plain_name(nic.tap) ||
        nic.tap.size() > 15) {
      return failure("network port \"" + nic.id + "\" on tap \"" + nic.tap + "\" has no usable name", Errc::BadInput);
    }
  }
  if (auto kernel = check_readable("kernel", options.kernel); !kernel) { return kernel; }
  if (auto initramfs = check_readable("initramfs", options.initramfs); !initramfs) { return initramfs; }
  return check_region_file(options.region_path, options.region_bytes, options.region_device);
}

std::vector<std::string> qemu_command(const GuestOptions& options, const GuestRecord& record) {
  const bool nvdimm = options.region_device == RegionDevice::Nvdimm;
  const auto backing = file_bytes(options.region_bytes, options.region_device);
  auto command = machine(options.qemu, options.accelerator, options.memory_mib, nvdimm ? backing : 0);
  std::string arguments = "understudy.role=" + options.role;
  if (options.debug_shell) { arguments += " understudy.shell=1"; }
  if (!options.kernel_arguments.empty()) { arguments += " " + options.kernel_arguments; }
  add_kernel(command, options.kernel, options.initramfs, arguments);
  command.insert(command.end(),
                 {"-name", "mirror-" + options.role, "-chardev", "file,id=console,path=" + escaped(record.console_log),
                  "-serial", "chardev:console", "-qmp", "unix:" + escaped(record.qmp_socket) + ",server=on,wait=off",
                  "-device", "virtio-serial-pci,id=ports", "-device", "pvpanic-pci", "-object",
                  "memory-backend-file,id=region,share=on,size=" + std::to_string(backing) +
                      ",mem-path=" + escaped(options.region_path),
                  "-device", nvdimm ? "nvdimm,id=nvdimm,memdev=region" : "ivshmem-plain,memdev=region"});
  add_port(command, "agent", record.agent_socket, link::guest::agent_port_name);
  if (options.debug_shell) {
    add_port(command, "shell", record.shell_socket, link::guest::shell_port_name);
    command.insert(command.end(), {"-qmp", "unix:" + escaped(record.monitor_socket) + ",server=on,wait=off"});
  }
  for (const auto& nic : options.nics) {
    command.insert(command.end(),
                   {"-netdev", "tap,id=" + nic.id + ",ifname=" + nic.tap + ",script=no,downscript=no", "-device",
                    // No boot ROM: SeaBIOS would load one for each NIC.
                    "virtio-net-pci,netdev=" + nic.id + ",mac=" + nic.mac.to_string() + ",romfile="});
  }
  return command;
}

std::vector<std::string> probe_command(const ProbeOptions& options) {
  auto command = machine(options.qemu, options.accelerator, 128, 0);
  add_kernel(command, options.kernel, options.initramfs, "understudy.probe=1");
  command.insert(command.end(), {"-serial", "stdio"});
  return command;
}

}  // namespace understudy::host
