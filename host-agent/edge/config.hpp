// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the host-agent of one blade is told by its file (blade.toml). Everything about roles comes from the
/// control-server, so that every blade can become the standby.

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "edge/hardware_watchdog.hpp"
#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"
#include "understudy/common/types.hpp"
#include "understudy/link/bfd_service.hpp"
#include "understudy/link/tls_settings.hpp"

namespace understudy::host {

struct MirrorsConfig {
  std::string maintenance_interface;  ///< mirrors are bridged to the maintenance network through it
  std::string qemu = "qemu-system-x86_64";
  std::string kernel;
  std::string initramfs;
  std::string accelerator = "auto";        ///< "auto" (by trying), "kvm", "tcg"
  std::string memory = "auto";             ///< what a region is to a guest: "auto", "ivshmem", "nvdimm"
  std::chrono::seconds boot_deadline{90};  ///< a guest that has not spoken until then is started again
  bool debug_shell = false;                ///< root shell and a second monitor of every mirror, for laboratories
};

/// Commands that run at test points, refused without `allow = true` (drill.hpp).
struct DrillConfig {
  std::vector<std::string> frozen;  ///< right after the freeze of a movement; empty: none
  std::vector<std::string>
      committed;  ///< right after the commit's record, before the guest is killed; its end is only waited for
};

/// How this blade's BFD sessions are authenticated, and who watches it beside the group: routers with FRR or BIRD.
struct BfdConfig {
  link::bfd::Authentication authentication;  ///< with control-servers, mirrors, and from this blade's own mirrors
  std::vector<std::pair<IpAddress, link::bfd::PeerOptions>> peers;
};

struct BladeConfig {
  BladeId blade;
  IpPrefix address;                         ///< own address on the maintenance network
  std::vector<std::string> control;         ///< "address:port" of each control-server
  std::string run_dir = "/run/understudy";  ///< sockets, pid files, commit records; not over a reboot
  static constexpr const char* region_prefix = "understudy-";
  std::string region_dir = "/dev/shm";
  std::uint16_t replication_port = 7410;
  std::map<std::string, std::string> networks;  ///< network name -> service interface of this blade
  BfdConfig bfd;
  MirrorsConfig mirrors;
  DrillConfig drill;
  WatchdogConfig watchdog;
  link::tls::Settings tls;
  std::vector<std::string> doubts;  ///< told by Doubts::Told, each with its key

  [[nodiscard]] std::string region_path(const RoleId& role) const {
    return region_dir + "/" + region_prefix + role.value;
  }
};

/// What a blade may have served with for months. `--check` refuses it; a start tells it and goes on: a blade whose
/// host-agent does not start again is taken over, and powered off.
enum class Doubts { Refused, Told };

/// BadInput with file, line and what to write instead. Interfaces must exist in the present network namespace, and the
/// certificate must be this blade's and valid now.
Result<BladeConfig> read_blade_config(const std::string& path, Doubts doubts = Doubts::Refused);

}  // namespace understudy::host
