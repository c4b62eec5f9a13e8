// SPDX-License-Identifier: Apache-2.0
#include "edge/config.hpp"

#include <linux/capability.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>

#include "understudy/common/config.hpp"
#include "understudy/common/config_checks.hpp"
#include "understudy/common/own_address.hpp"
#include "understudy/link/bfd_key_file.hpp"

namespace understudy::host {

namespace {

void check_interface(ConfigTable& table, const std::string& key, const std::string& interface) {
  if (interface == "lo") { table.problem(key, "\"lo\" is this blade's own loopback; write a real interface"); }
  if (interface.empty() || if_nametoindex(interface.c_str()) != 0) { return; }
  table.problem(
      key, "interface \"" + interface + "\" does not exist on this blade; write the name of one that `ip link` shows");
}

void check_readable(ConfigTable& table, const std::string& key, const std::string& path) {
  if (path.empty() || is_readable_file(path)) { return; }
  table.problem(key, "\"" + path + "\" is no file that can be read; write the path of an existing one");
}

void check_directory(ConfigTable& table, const std::string& key, const std::string& path) {
  struct stat found {};
  if (path.empty() || (stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode))) { return; }
  table.problem(key, "there is no directory \"" + path + "\"; make it, or write another one");
}

/// A region that outlives a reboot is of an owner before: its role may have been served elsewhere since. So a disk is
/// no place for one, nor is an nvdimm. Empty: it does not.
std::string outlives_a_reboot(const std::string& path) {
  struct statfs found {};
  if (path.empty() || statfs(path.c_str(), &found) != 0 || found.f_type == TMPFS_MAGIC) { return ""; }
  return "\"" + path +
         "\" is not on a tmpfs: a region there would outlive a reboot (and be written to a disk, where that is no "
         "nvdimm "
         "with fs-dax); write a directory on one, e.g. \"/dev/shm\"";
}

/// The nearest folder that exists must be able to hold what is made below it. Whoever is not root only looks.
void check_can_be_made(ConfigTable& table, const std::string& key, const std::string& path) {
  if (path.empty()) { return; }
  std::error_code ignored;
  auto nearest = std::filesystem::absolute(path);
  while (!std::filesystem::exists(nearest, ignored) && nearest != nearest.parent_path()) {
    nearest = nearest.parent_path();
  }
  const std::string advice = "; write a directory that is there or can be made, e.g. \"/run/understudy\"";
  if (!std::filesystem::is_directory(nearest, ignored)) {
    table.problem(key, "\"" + path + "\" cannot be made: " + nearest.string() + " is no directory" + advice);
  } else if (geteuid() == 0 && access(nearest.c_str(), W_OK | X_OK) != 0) {
    table.problem(key, "\"" + path + "\" cannot be used: " + nearest.string() + " cannot be written into" + advice);
  }
}

/// Root may have been left without what it needs, as in a container. Whoever is not root only looks.
void check_capabilities(ConfigTable& root) {
  if (geteuid() != 0) { return; }
  const std::map<int, std::string> names = {
      {CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_NET_RAW, "CAP_NET_RAW"}, {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};
  std::string missing;
  for (const int one : missing_capabilities({CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN})) {
    missing += (missing.empty() ? "" : ", ") + names.at(one);
  }
  if (missing.empty()) { return; }
  root.problem("networks", "this process may not change these networks: root lacks " + missing +
                               " here; start it with all capabilities, by systemd or sudo");
}

void read_mirrors(ConfigTable table, MirrorsConfig& mirrors) {
  mirrors.maintenance_interface =
      table.string("maintenance_interface", "the interface on the maintenance network, e.g. \"mnt0\"");
  check_interface(table, "maintenance_interface", mirrors.maintenance_interface);
  mirrors.qemu = table.string_or("qemu", mirrors.qemu, "QEMU's program, e.g. \"/usr/libexec/qemu-kvm\"");
  if (!is_program(mirrors.qemu)) {
    table.problem("qemu", "there is no program \"" + mirrors.qemu + "\"; install QEMU, or write qemu = its path");
  }
  mirrors.kernel = table.string("kernel", "the path of the mirrors' Linux kernel");
  check_readable(table, "kernel", mirrors.kernel);
  mirrors.initramfs = table.string("initramfs", "the path of the mirrors' initramfs");
  check_readable(table, "initramfs", mirrors.initramfs);
  auto& accelerator = mirrors.accelerator;
  accelerator = table.string_or("accelerator", "auto", "\"auto\", \"kvm\" or \"tcg\"");
  if (accelerator != "auto" && accelerator != "kvm" && accelerator != "tcg") {
    table.problem("accelerator", "accelerator \"" + accelerator + R"(" is unknown; write "auto", "kvm" or "tcg")");
  }
  auto& memory = mirrors.memory;
  memory = table.string_or("memory", "auto", "\"auto\", \"ivshmem\" or \"nvdimm\"");
  if (memory != "auto" && memory != "ivshmem" && memory != "nvdimm") {
    table.problem("memory", "memory \"" + memory + R"(" is unknown; write "auto", "ivshmem" or "nvdimm")");
  }
  mirrors.boot_deadline = std::chrono::seconds(table.integer_or(
      "boot_deadline_s", mirrors.boot_deadline.count(), "seconds until a started mirror must have spoken", 1, 3600));
  mirrors.debug_shell = table.boolean_or("debug_shell", false);
}

void read_control(ConfigTable& root, BladeConfig& config) {
  config.control = root.strings("control", "the control-servers, e.g. [\"192.168.1.250:7400\"]");
  for (const auto& text : config.control) {
    const auto endpoint = parse_endpoint(text);
    if (!endpoint) {
      root.problem("control", "\"" + text + "\" is not an address and port; write e.g. \"192.168.1.250:7400\"");
    } else if (config.address.address.family != 0 && endpoint->address.family != config.address.address.family) {
      root.problem("control", "\"" + text + "\" is of another family than this blade's address " +
                                  config.address.address.to_string() + "; BFD needs both IPv4, or both IPv6");
    }
  }
}

void read_networks(ConfigTable& root, BladeConfig& config) {
  auto table = root.table("networks");
  std::set<std::string> used;
  for (auto& [network, interface] : root.string_pairs("networks")) {
    (void)table.has(network);  // every name is a key here
    check_interface(table, network, interface);
    if (!used.insert(interface).second) {
      table.problem(network, "interface \"" + interface + "\" is given to two networks; each network needs its own");
    }
    config.networks[network] = interface;
  }
  if (config.networks.empty()) {
    root.problem("networks", "[networks] is empty; write at least one network = \"interface\"");
  }
}

void read_bfd(ConfigTable table, const std::string& path, BladeConfig& config) {
  config.bfd.authentication = link::bfd::read_authentication(table, path, link::bfd::KeyFile::Read);
  for (auto& entry : table.tables("peer")) {
    const auto text = entry.string("address", "who watches this blade, e.g. \"192.168.1.254\"");
    const auto address = IpAddress::parse(text);
    if (!address) {
      entry.problem("address", address.error().message);
    } else if (address->family != config.address.address.family) {
      entry.problem("address", text + " is of another family than this blade's address " +
                                   config.address.address.to_string() + "; BFD needs both IPv4, or both IPv6");
    }
    link::bfd::PeerOptions peer;
    peer.interval = std::chrono::milliseconds(
        entry.integer_or("interval_ms", 50, "the BFD interval in ms, longer where the peer wants it", 1, 10'000));
    peer.multiplier =
        static_cast<std::uint8_t>(entry.integer_or("multiplier", 3, "lost packets that mean silence", 1, 255));
    peer.authentication = link::bfd::read_authentication(entry, path, link::bfd::KeyFile::Read);
    if (address) { config.bfd.peers.emplace_back(address.value(), std::move(peer)); }
  }
}

void read_drill(ConfigTable table, DrillConfig& drill) {
  const bool allowed = table.boolean_or("allow", false);
  const auto read = [&](const char* point, std::vector<std::string>& command) {
    command = table.strings_or_empty(point);
    if (command.empty()) { return; }
    if (!allowed) {
      table.problem(
          point, "a command at a test point stops service while it runs; remove it, or write allow = true in [drill]");
    }
    if (!command.front().starts_with('/')) {
      table.problem(point, "\"" + command.front() + "\" is not an absolute path; write the program's path");
    }
  };
  read("frozen", drill.frozen);
  read("committed", drill.committed);
}

using Doubt = std::function<void(const std::string& key, const std::string& text)>;

void read_watchdog(ConfigTable table, WatchdogConfig& watchdog, const Doubt& doubt) {
  watchdog.device = table.string_or("device", "", "the watchdog's device, e.g. \"/dev/watchdog\"");
  watchdog.timeout = std::chrono::seconds(table.integer_or("timeout_s", 30, "seconds", 5, 600));
  if (watchdog.device.empty()) { return; }
  std::error_code ignored;
  const auto type = std::filesystem::status(watchdog.device, ignored).type();
  if (type != std::filesystem::file_type::character && type != std::filesystem::file_type::fifo) {
    table.problem("device", "\"" + watchdog.device + "\" is no device; load the driver of this blade's watchdog, or " +
                                "remove [watchdog]");
  } else if (const auto holds = check_watchdog(watchdog); !holds) {
    doubt("timeout_s", holds.error().message);
  }
}

}  // namespace

Result<BladeConfig> read_blade_config(const std::string& path, Doubts doubts) {
  ConfigReader reader(path);
  auto root = reader.root();
  BladeConfig config;
  const auto doubt_in = [&](ConfigTable table) -> Doubt {
    return [&config, doubts, table](const std::string& key, const std::string& text) mutable {
      if (doubts == Doubts::Refused) { return table.problem(key, text); }
      config.doubts.push_back(key + ": " + text);
    };
  };
  config.blade = BladeId{root.string("blade", "this blade's name, e.g. \"blade-2\"")};
  if (!is_config_name(config.blade.value)) {
    root.problem("blade", "\"" + config.blade.value + "\" is no name; use up to 64 letters, digits, '.', '_', '-'");
  }
  const auto address =
      IpPrefix::parse(root.string("address", "this blade's maintenance address, e.g. \"192.168.1.2/24\""));
  if (address) {
    config.address = address.value();
    if (!is_own_address(config.address.address)) {
      root.problem("address", "this blade has no address " + config.address.address.to_string() +
                                  "; write one that `ip address` shows");
    }
  } else {
    root.problem("address", address.error().message);
  }
  read_control(root, config);
  config.tls = link::tls::read_settings(root, link::tls::Whose::Blade, config.blade.value, true);
  config.run_dir = root.string_or("run_dir", config.run_dir, "a directory, e.g. \"/run/understudy\"");
  check_can_be_made(root, "run_dir", config.run_dir);
  config.region_dir = root.string_or("region_dir", config.region_dir, "a directory on tmpfs, e.g. \"/dev/shm\"");
  check_directory(root, "region_dir", config.region_dir);
  if (const auto text = outlives_a_reboot(config.region_dir); !text.empty()) { doubt_in(root)("region_dir", text); }
  config.replication_port =
      static_cast<std::uint16_t>(root.integer_or("replication_port", config.replication_port, "a TCP port", 1, 65535));
  check_capabilities(root);
  read_networks(root, config);
  read_bfd(root.table("bfd"), path, config);
  read_drill(root.table("drill"), config.drill);
  auto watchdog = root.table("watchdog");
  read_watchdog(watchdog, config.watchdog, doubt_in(watchdog));
  auto mirrors = root.table("mirrors");
  read_mirrors(mirrors, config.mirrors);
  for (const auto& [network, interface] : config.networks) {
    if (interface != config.mirrors.maintenance_interface) { continue; }
    mirrors.problem("maintenance_interface",
                    "interface \"" + interface + "\" is given to the network \"" + network +
                        "\", whose gate would close it; the maintenance network needs its own");
  }
  if (auto finished = reader.finish(); !finished) { return finished.error(); }
  return config;
}

}  // namespace understudy::host
