// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whether a role's bundle passes the control API's own bounds, so that who reads a configuration can tell it before
/// anything is started. What does not pass would be refused by every blade, again and again.

#include "understudy/common/result.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link {

/// BadInput names what the blades would refuse.
Status carries(const RoleSpec& spec);

}  // namespace understudy::link
