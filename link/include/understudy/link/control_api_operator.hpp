// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The operator's side of the control API: plain blocking calls, for command line tools and tests.
///
/// Of several control-servers each is asked until one answers; one that follows names the leader, who is asked then.
/// What changes something may so be asked of two, and is done by the one that leads.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link {

class OperatorClient {
 public:
  /// `addresses`: of one control-server, or of several, with commas. Credentials that cannot be used are told by the
  /// first call.
  OperatorClient(const std::string& addresses, const tls::Wire& wire,
                 std::chrono::milliseconds timeout = std::chrono::milliseconds(3000));
  ~OperatorClient();
  OperatorClient(const OperatorClient&) = delete;
  OperatorClient& operator=(const OperatorClient&) = delete;

  Result<GroupStatus> status();
  /// `reason`: why, for the event log. BadInput without one, but for the policy and for letting a blade back.
  Result<std::string> move_role(const RoleId& role, const std::string& reason);
  /// `force`: although a vote is missing, or the standby is held out.
  Result<std::string> switchover(const RoleId& role, bool force, const std::string& reason);
  Result<std::string> set_movement_policy(MovementPolicy policy, const std::string& reason);
  Result<std::string> let_back(const BladeId& blade, const std::string& reason);
  /// Done later: the event log tells what came of it.
  Result<std::string> power(const BladeId& blade, bool on, bool force, const std::string& reason);
  /// Calls `each` for every event with an id above `after`, oldest first; stops when `each` returns false, when all
  /// are told and `follow` is false, or when stop() is called. Losing the control-server is a failure.
  /// `last`: of the events that are there only so many, the newest; 0: all.
  Status watch_events(std::uint64_t after, bool follow, const std::function<bool(const EventRecord&)>& each,
                      std::uint64_t last = 0);
  /// Ends a running watch_events; may be called from any thread.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::link
