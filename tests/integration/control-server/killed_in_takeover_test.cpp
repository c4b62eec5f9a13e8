// SPDX-License-Identifier: Apache-2.0
/// The control-server is killed at each stage of a takeover.
/// Covers: control-server/edge/service.cpp, control-server/core/role_start.cpp
#include "killed_server.hpp"

namespace understudy {
namespace {

class InATakeover : public KilledServerTest {};
TEST_P(InATakeover, AKilledServersNextLifeEndsItOnceWithOneOwner) { is_killed_and_finished_once(); }
INSTANTIATE_TEST_SUITE_P(When, InATakeover, testing::ValuesIn(kTakeoverPoints), name_of);

}  // namespace
}  // namespace understudy
