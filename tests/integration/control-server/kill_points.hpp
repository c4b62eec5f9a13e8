// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Where a control-server is killed (kill_series.hpp), and what is stored when all is done.
#include <algorithm>
#include <string_view>

#include "kill_series.hpp"

namespace understudy {

using Series = KillSeriesTest;

inline const StoredRole kOnMirror{2, PlaceKind::Mirror, 0};
inline const StoredRole kOnHost{3, PlaceKind::Host, 0};

/// The mirror has done what it was told, and the control-server has its word, or none.
inline void to_activation(Series& series, Obeys obeys) {
  series.activates_ = obeys;
  series.lose_active();
  series.hears<Activate>(series.standby());
}

inline const KillPoint kTakeoverPoints[] = {
    {"TheIsolationWasOrdered",
     [](Series& series) {
       series.hold_switch("isolate");
       series.lose_active();
       series.switch_holds("isolate");
     },
     kOnMirror},
    {"ThePortsAreIsolatedAndNotReadBack",
     [](Series& series) {
       series.hold_switch("status");
       series.lose_active();
       series.switch_holds("status");
     },
     kOnMirror},
    {"TheIsolationWasReadBackAndNoTermStored",
     [](Series& series) {
       series.hold_switch("status");
       series.lose_active();
       ASSERT_NO_FATAL_FAILURE(series.switch_holds("status"));
       series.hold_store();
       series.let_switch_go("status");
       ASSERT_NO_FATAL_FAILURE(series.logs("stop-evidence: isolated"));
       series.hears_no<Activate>(series.standby());
     },
     kOnMirror},
    {"TheNewTermWasStoredAndTheOrderLost",
     [](Series& series) {
       series.hold_switch("status");
       series.lose_active();
       ASSERT_NO_FATAL_FAILURE(series.switch_holds("status"));
       series.let_switch_go("status");
       series.stores_unheard(kOnMirror);
     },
     kOnMirror},
    {"TheOrderCameAndNothingWasDone", [](Series& series) { to_activation(series, Obeys::Not); }, kOnMirror, 2},
    {"TheMirrorAnnouncesAndHasNotAnswered", [](Series& series) { to_activation(series, Obeys::Silently); }, kOnMirror},
    {"TheAnswerCame",
     [](Series& series) {
       series.lose_active();
       series.logs("state: on-mirror");
     },
     kOnMirror},
};

inline const KillPoint kSwitchoverPoints[] = {
    {"TheHandOverWasOrderedAndIsLost",
     [](Series& series) {
       series.hands_over_ = Obeys::Not;
       series.order_switchover();
       series.hears<HandOver>(series.active());
     },
     {1, PlaceKind::Host, 0},
     0},
    {"TheActiveHasLetGoAndIsNotHeard",
     [](Series& series) {
       series.hands_over_ = Obeys::Silently;
       series.order_switchover();
       series.hears<HandOver>(series.active());
     },
     kOnMirror},
    {"TheActiveHasLetGoAndNoTermIsStored",
     [](Series& series) {
       series.before_word_ = [&series] { series.hold_store(); };
       series.order_switchover();
       ASSERT_NO_FATAL_FAILURE(series.logs("stop-evidence: stood-down"));
       series.hears_no<Activate>(series.standby());
     },
     kOnMirror},
    {"TheOrderToTheMirrorCameAndNothingWasDone",
     [](Series& series) {
       series.activates_ = Obeys::Not;
       series.order_switchover();
       series.hears<Activate>(series.standby());
     },
     kOnMirror, 2},
    {"TheMirrorAnnouncesAndHasNotAnswered",
     [](Series& series) {
       series.activates_ = Obeys::Silently;
       series.order_switchover();
       series.hears<Activate>(series.standby());
     },
     kOnMirror},
    {"TheMirrorHasAnswered",
     [](Series& series) {
       series.order_switchover();
       series.logs("state: on-mirror");
     },
     kOnMirror},
};

/// The mirror's word comes while the store is held: the movement cannot reserve its term.
inline void to_moving_unstored(Series& series) {
  series.before_word_ = [&series] { series.hold_store(); };
  series.lose_active();
  ASSERT_NO_FATAL_FAILURE(series.logs("state: moving"));
  series.hears_no<Move>(series.standby());
}

inline const KillPoint kMovementPoints[] = {
    {"NoTermWasReserved", to_moving_unstored, kOnHost, 1, 1, "always"},
    {"TheOrderCameAndNothingWasDone",
     [](Series& series) {
       series.moves_ = Obeys::Not;
       series.lose_active();
       series.hears<Move>(series.standby());
     },
     {4, PlaceKind::Host, 0},
     1,
     2,
     "always"},
    {"TheRoleIsOnTheHostAndNobodyHasHeardIt",
     [](Series& series) {
       series.moves_ = Obeys::Silently;
       series.lose_active();
       series.hears<Move>(series.standby());
     },
     kOnHost, 1, 1, "always"},
    {"TheHostHasAnsweredAndItIsNotStored",
     [](Series& series) {
       series.lose_active();
       ASSERT_NO_FATAL_FAILURE(series.hears<Activate>(series.standby()));
       series.before_word_ = [&series] { series.hold_store(); };
       series.logs("resume");
     },
     kOnHost, 1, 1, "always"},
    {"TheReleaseWasOrdered",
     [](Series& series) {
       series.releases_ = false;
       series.lose_active();
       series.hears<ReleaseMirrors>(series.standby());
     },
     kOnHost, 1, 1, "always"},
};

/// One of them by its name; another test's list has them all.
template <std::size_t kCount>
KillPoint point_of(const KillPoint (&points)[kCount], std::string_view name) {
  return *std::find_if(points, points + kCount, [name](const KillPoint& point) { return point.name == name; });
}

}  // namespace understudy
