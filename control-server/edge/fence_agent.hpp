// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Power by a fence agent of ClusterLabs (fence_ipmilan, fence_redfish, fence_apc ...), by their published API.
///
///     AGENT -o metadata                        XML: its parameters and actions
///     AGENT   standard input: action=off       status 0: done
///                             ip=192.0.2.1     action=status: status 0 on, 2 off, anything else: not known
///                             password=...
///
/// - Options travel on standard input only: there are secrets among them, and arguments are everybody's to read.
/// - Agents that call ipmitool would hand it the password as an argument. They are told another ipmitool, which takes
/// it
///   from the environment, where nobody but root sees it (understudy-ipmitool).
/// - Off is what the agent's status says, never what its off said. Status 2 alone is not believed: a shell, and Python,
///   end so when they cannot run a script at all. The word OFF must have been printed, too, as every agent does.
/// - One deadline covers an action and its reading back. An agent that is late is killed with its children.

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "edge/drivers.hpp"
#include "understudy/common/result.hpp"

namespace understudy::control {

/// By name. One in capitals, which no agent has, is put into its environment.
using FenceOptions = std::map<std::string, std::string>;

struct FenceMetadata {
  std::set<std::string> actions;
  std::set<std::string> parameters;                       ///< older names among them
  std::map<std::string, std::set<std::string>> required;  ///< a parameter, and the older names that do as well
};

Result<FenceMetadata> parse_fence_metadata(const std::string& xml);
/// Asks the agent.
Result<FenceMetadata> fence_metadata(const std::string& agent, std::chrono::milliseconds limit);
/// What the agent would not understand, or misses.
Status check_fence_options(const FenceMetadata& metadata, const FenceOptions& options);

/// Its password, an agent that calls ipmitool gets by the environment and the program `ipmitool` instead of as an
/// option.
void hide_password(const FenceMetadata& metadata, const std::string& ipmitool, FenceOptions& options);

/// `blades`: the options of each, by its name.
std::unique_ptr<PowerDriver> fence_agent_power(std::string agent, std::map<std::string, FenceOptions> blades,
                                               std::chrono::milliseconds limit);

}  // namespace understudy::control
