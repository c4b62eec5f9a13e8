// SPDX-License-Identifier: Apache-2.0
/// The control-server that leads is killed at each stage of a takeover, a switchover and a movement.
/// Covers: control-server/edge/service_lead.cpp, control-server/edge/etcd_store.cpp, control-server/core/role_start.cpp
#include "killed_leader.hpp"

namespace understudy {
namespace {

class ALeaderKilledAtEachPoint : public KilledLeaderTest {};
TEST_P(ALeaderKilledAtEachPoint, IsFollowedByOneThatEndsItOnceWithOneOwner) { is_killed_and_finished_once(); }
INSTANTIATE_TEST_SUITE_P(OfATakeover, ALeaderKilledAtEachPoint, testing::ValuesIn(kTakeoverPoints), name_of);
INSTANTIATE_TEST_SUITE_P(OfASwitchover, ALeaderKilledAtEachPoint, testing::ValuesIn(kSwitchoverPoints), name_of);
INSTANTIATE_TEST_SUITE_P(OfAMovement, ALeaderKilledAtEachPoint, testing::ValuesIn(kMovementPoints), name_of);

}  // namespace
}  // namespace understudy
