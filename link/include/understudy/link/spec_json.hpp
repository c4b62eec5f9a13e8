// SPDX-License-Identifier: Apache-2.0
#pragma once
/// RoleSpec and RunMirror as JSON: what a host-agent hands to a mirror's guest-agent, and what it keeps in its run
/// directory. Reading checks types, ranges and addresses and bounds every list; unknown keys are ignored, so that
/// an older agent reads a newer one's message.

#include <boost/json/value.hpp>

#include "understudy/common/result.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link {

[[nodiscard]] boost::json::value to_json(const RoleSpec& spec);
[[nodiscard]] boost::json::value to_json(const RunMirror& order);

Result<RoleSpec> role_spec_from_json(const boost::json::value& value);
Result<RunMirror> run_mirror_from_json(const boost::json::value& value);

}  // namespace understudy::link
