// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The operator's side of the control API: plain blocking calls, for command line tools and tests.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::link {

class OperatorClient {
 public:
  explicit OperatorClient(std::string address, std::chrono::milliseconds timeout = std::chrono::milliseconds(3000));
  ~OperatorClient();
  OperatorClient(const OperatorClient&) = delete;
  OperatorClient& operator=(const OperatorClient&) = delete;

  Result<GroupStatus> status();
  Result<std::string> move_role(const RoleId& role);
  Result<std::string> set_movement_policy(MovementPolicy policy);
  Result<std::string> let_back(const BladeId& blade);
  /// Calls `each` for every event with an id above `after`, oldest first; stops when `each` returns false, when all
  /// are told and `follow` is false, or when stop() is called. Losing the control-server is a failure.
  Status watch_events(std::uint64_t after, bool follow, const std::function<bool(const EventRecord&)>& each);
  /// Ends a running watch_events; may be called from any thread.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::link
