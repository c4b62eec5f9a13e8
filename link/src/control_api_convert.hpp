// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Between the wire's messages and plain values. To the wire it cannot fail. From the wire everything is checked:
/// names, sizes of lists, lengths of addresses, enumerators; the first thing that is not valid is the error, named
/// by message and field. What passed needs no second check in a core.

#include "control.pb.h"
#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link {

namespace pb = ::understudy::control::v1;

[[nodiscard]] pb::Order to_proto(const Order& order);
Result<Order> from_proto(const pb::Order& order);

[[nodiscard]] pb::Report to_proto(const Report& report);
Result<Report> from_proto(const pb::Report& report);

[[nodiscard]] pb::GroupStatus to_proto(const GroupStatus& status);
Result<GroupStatus> from_proto(const pb::GroupStatus& status);

[[nodiscard]] pb::Event to_proto(const EventRecord& event);
Result<EventRecord> from_proto(const pb::Event& event);

[[nodiscard]] pb::MovementPolicy to_proto(MovementPolicy policy);
Result<MovementPolicy> from_proto(pb::MovementPolicy policy);

/// Names of blades, roles, ports: 1 to 64 letters, digits, '.', '_', '-'.
[[nodiscard]] bool valid_name(const std::string& name);

}  // namespace understudy::link
