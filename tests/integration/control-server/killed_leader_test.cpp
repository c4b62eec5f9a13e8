// SPDX-License-Identifier: Apache-2.0
/// The control-server that leads is killed within a takeover, a switchover or a movement; killed_leader_everywhere_test
/// has every stage of them.
/// Covers: control-server/edge/service_lead.cpp, control-server/edge/etcd_store.cpp, control-server/core/role_start.cpp
#include "killed_leader.hpp"

namespace understudy {
namespace {

class ALeaderKilledAtOnePointOfEach : public KilledLeaderTest {};
TEST_P(ALeaderKilledAtOnePointOfEach, IsFollowedByOneThatEndsItOnceWithOneOwner) { is_killed_and_finished_once(); }
INSTANTIATE_TEST_SUITE_P(Takeover, ALeaderKilledAtOnePointOfEach,
                         testing::Values(point_of(kTakeoverPoints, "TheNewTermWasStoredAndTheOrderLost")), name_of);
INSTANTIATE_TEST_SUITE_P(Switchover, ALeaderKilledAtOnePointOfEach,
                         testing::Values(point_of(kSwitchoverPoints, "TheActiveHasLetGoAndIsNotHeard")), name_of);
INSTANTIATE_TEST_SUITE_P(Movement, ALeaderKilledAtOnePointOfEach,
                         testing::Values(point_of(kMovementPoints, "TheRoleIsOnTheHostAndNobodyHasHeardIt")), name_of);

}  // namespace
}  // namespace understudy
