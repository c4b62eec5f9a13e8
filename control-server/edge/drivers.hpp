// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What cuts a blade off. Used from a worker's thread only.
///
/// Contract of the external switch command: `COMMAND isolate|readmit|status PORT...`; exit status 0 = done; `status`
/// prints one line a port, "PORT isolated" or "PORT connected". Isolation counts only after `status` has said so.
/// Contract of the power command: `COMMAND off|on|status BLADE`; exit status 0 = done; `status` prints "on" or "off".

#include <memory>
#include <string>
#include <vector>

#include "edge/config_file.hpp"
#include "understudy/common/result.hpp"

namespace understudy::control {

class SwitchDriver {
 public:
  virtual ~SwitchDriver() = default;
  /// Success: every port was read back as isolated. That is stop-evidence.
  virtual Status isolate(const std::vector<std::string>& ports) = 0;
  virtual Status readmit(const std::vector<std::string>& ports) = 0;
  virtual Result<bool> are_isolated(const std::vector<std::string>& ports) = 0;

  static Result<std::unique_ptr<SwitchDriver>> make(const SwitchConfig& config);
};

/// Success: `status` said "off" afterwards.
Status power_off(const PowerConfig& config, const BladeId& blade);

}  // namespace understudy::control
