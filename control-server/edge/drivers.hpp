// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The arms of the switching unit: the switch that isolates and the power that goes off. Both block, so they are
/// called on worker threads. Success is always what was read back, never what was merely ordered (D3).
///
/// Contract of an external switch command, called as `COMMAND... isolate|readmit|status PORT...`:
///   isolate, readmit   exit status 0 when done; then `status` is asked and believed
///   status             exit status 0 and one line `PORT isolated` or `PORT connected` for each port, in any order
/// Contract of an external power command, called as `COMMAND... off|on|status BLADE`:
///   off, on            exit status 0 when done; then `status` is asked and believed
///   status             exit status 0 and a first word `on` or `off`

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::control {

class SwitchDriver {
 public:
  SwitchDriver() = default;
  SwitchDriver(const SwitchDriver&) = delete;
  SwitchDriver& operator=(const SwitchDriver&) = delete;
  virtual ~SwitchDriver() = default;
  /// Success: every port was read back as isolated (stop-evidence).
  virtual Status isolate(const std::vector<std::string>& ports) = 0;
  /// Success: no port was read back as isolated.
  virtual Status readmit(const std::vector<std::string>& ports) = 0;
  /// Whether every one of them is isolated.
  virtual Result<bool> are_isolated(const std::vector<std::string>& ports) = 0;
};

/// A network namespace of the configuration, a name below /run/netns or a path, as a path; empty stays so: our own.
std::string network_namespace_path(const std::string& netns);

/// Ports of Linux bridges in a network namespace of the configuration.
Result<std::unique_ptr<SwitchDriver>> linux_bridge_switch(const std::string& netns);
std::unique_ptr<SwitchDriver> command_switch(std::vector<std::string> command, std::chrono::milliseconds limit);

/// Called on several threads at once, one for each blade: a unit that hangs keeps no other blade powered.
class PowerDriver {
 public:
  PowerDriver() = default;
  PowerDriver(const PowerDriver&) = delete;
  PowerDriver& operator=(const PowerDriver&) = delete;
  virtual ~PowerDriver() = default;
  /// Success: its status was read back as off (stop-evidence).
  [[nodiscard]] virtual Status off(const std::string& blade) const = 0;
  /// Success: its status was read back as on.
  [[nodiscard]] virtual Status on(const std::string& blade) const = 0;
  [[nodiscard]] virtual Result<bool> is_on(const std::string& blade) const = 0;
};

std::unique_ptr<PowerDriver> command_power(std::vector<std::string> command, std::chrono::milliseconds limit);

}  // namespace understudy::control
