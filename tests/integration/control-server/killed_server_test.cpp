// SPDX-License-Identifier: Apache-2.0
/// The control-server is killed at each stage of a switchover and of a movement.
/// Covers: control-server/edge/service.cpp, control-server/core/role_start.cpp
#include "killed_server.hpp"

namespace understudy {
namespace {

class InASwitchover : public KilledServerTest {};
TEST_P(InASwitchover, AKilledServersNextLifeEndsItOnceWithOneOwner) { is_killed_and_finished_once(); }
INSTANTIATE_TEST_SUITE_P(When, InASwitchover, testing::ValuesIn(kSwitchoverPoints), name_of);

class InAMovement : public KilledServerTest {};
TEST_P(InAMovement, AKilledServersNextLifeEndsItOnceWithOneOwner) { is_killed_and_finished_once(); }
INSTANTIATE_TEST_SUITE_P(When, InAMovement, testing::ValuesIn(kMovementPoints), name_of);

}  // namespace
}  // namespace understudy
