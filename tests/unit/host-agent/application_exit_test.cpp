// SPDX-License-Identifier: Apache-2.0
// The end of the application on this host, in every stage of a role and in every state of a movement.
#include <gtest/gtest.h>

#include "blade_sample.hpp"

namespace understudy::host {
namespace {

template <class T>
bool reports(const Effects& effects) {
  for (const auto& effect : effects) {
    const auto* sent = std::get_if<SendReport>(&effect);
    if (sent != nullptr && std::holds_alternative<T>(sent->report)) { return true; }
  }
  return false;
}
bool alarms(const Effects& effects) {
  for (const auto& effect : effects) {
    const auto* note = std::get_if<Note>(&effect);
    if (note != nullptr && note->severity == Severity::Alarm) { return true; }
  }
  return false;
}
bool tells(const Effects& effects, GuestOrder order) {
  for (const auto& effect : effects) {
    if (const auto* told = std::get_if<TellGuest>(&effect); told != nullptr && told->order == order) { return true; }
  }
  return false;
}

class ApplicationExitTest : public testing::Test {
 protected:
  Effects step(const Event& event) { return sut_.step(at(++now_), event); }
  Effects order(const link::Order& given) { return step(OrderArrived{given}); }
  Effects done(Step one) { return step(StepDone{role, one}); }
  Effects failed(Step one) { return step(StepFailed{role, one, "busy"}); }
  Effects exits() { return step(ApplicationExited{role, "ended by signal 11"}); }
  RoleStage stage() { return sut_.roles().at(role).stage; }
  MovementState movement() { return sut_.roles().at(role).movement.state(); }
  bool held() { return sut_.roles().contains(role); }

  void host_prepares() { (void)order(link::ServeRole{spec(), Term{1}}); }
  void host_opens() {
    host_prepares();
    (void)done(Step::PrepareHost);
  }
  void host_serves() {
    host_opens();
    (void)done(Step::OpenHostGate);
  }
  void mirror_runs() {
    (void)order(link::RunMirror{spec(), Term{1}, BladeId{"blade-2"}, {}, {}});
    (void)done(Step::StartGuest);
  }
  void mirror_synced() {
    mirror_runs();
    (void)step(GuestHello{role, "boot-a", GuestActivity::Idle});
    (void)step(GuestPhase{role, link::MirrorPhase::Synced, "", Term{1}});
  }
  void mirror_serves() {
    mirror_synced();
    (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 1000});
    (void)step(GuestReady{role, Term{2}, {}});
    (void)done(Step::OpenMirrorGate);
  }
  void moves_until(MovementState state) {
    mirror_serves();
    (void)order(link::Move{role, Term{3}});
    for (const auto one : {Step::PrepareMovement, Step::CloseMirrorGate, Step::Freeze, Step::Finish, Step::Commit}) {
      if (movement() == state) { return; }
      (void)done(one);
      if (movement() == state) { return; }
      if (one == Step::CloseMirrorGate) {
        (void)done(Step::SendMarkers);
        (void)step(GuestQuiesced{role});
      }
    }
    ASSERT_EQ(movement(), state);
  }
  void moved() {
    moves_until(MovementState::Resuming);
    (void)done(Step::Resume);
  }

  Blade sut_{BladeId{"blade-4"}, "boot"};
  int now_ = 0;
};

// --- the movement ---

TEST_F(ApplicationExitTest, BeforeTheCommitItRollsTheMovementBackAndTheGuestServesOn) {
  for (const auto state : {MovementState::Preparing, MovementState::Blocking, MovementState::Quiescing,
                           MovementState::Freezing, MovementState::Finishing}) {
    sut_ = Blade{BladeId{"blade-4"}, "boot"};
    moves_until(state);
    EXPECT_TRUE(does(exits(), Step::Rollback)) << static_cast<int>(state);
    const auto back = done(Step::Rollback);
    EXPECT_TRUE(tells(back, GuestOrder::Resume));
    EXPECT_TRUE(reports<link::MoveFailed>(back));
    EXPECT_EQ(stage(), RoleStage::ServingMirror);
    EXPECT_EQ(sut_.roles().at(role).term, Term{2});
  }
}

TEST_F(ApplicationExitTest, TheAnswerOfTheStepThatItBrokeOffChangesNothingAnyMore) {
  const std::vector<std::pair<MovementState, Step>> steps{{MovementState::Preparing, Step::PrepareMovement},
                                                          {MovementState::Blocking, Step::CloseMirrorGate},
                                                          {MovementState::Freezing, Step::Freeze},
                                                          {MovementState::Finishing, Step::Finish}};
  for (const auto& [state, late] : steps) {
    sut_ = Blade{BladeId{"blade-4"}, "boot"};
    moves_until(state);
    (void)exits();
    EXPECT_TRUE(done(late).empty());
    EXPECT_TRUE(failed(late).empty());
    EXPECT_EQ(movement(), MovementState::RollingBack);
  }
}

TEST_F(ApplicationExitTest, AtTheCommitTheCommitDecides) {
  moves_until(MovementState::Committing);
  const auto told = exits();  // the record may be written by now, or not
  EXPECT_TRUE(alarms(told));
  EXPECT_FALSE(does(told, Step::Rollback));
  EXPECT_TRUE(does(done(Step::Commit), Step::Resume));

  sut_ = Blade{BladeId{"blade-4"}, "boot"};
  moves_until(MovementState::Committing);
  (void)exits();
  EXPECT_TRUE(does(failed(Step::Commit), Step::Rollback));
}

TEST_F(ApplicationExitTest, AfterTheCommitTheRoleIsNotCalledMovedBeforeItsApplicationRunsAgain) {
  moves_until(MovementState::Resuming);
  const auto told = exits();
  EXPECT_TRUE(alarms(told));
  EXPECT_FALSE(does(told, Step::Rollback));
  const auto again = done(Step::Resume);  // it had become active, then it ended
  EXPECT_TRUE(does(again, Step::Resume));
  EXPECT_FALSE(reports<link::Moved>(again));
  EXPECT_EQ(stage(), RoleStage::Moving);
  EXPECT_TRUE(reports<link::Moved>(done(Step::Resume)));
  EXPECT_EQ(stage(), RoleStage::ServingHost);
}

TEST_F(ApplicationExitTest, AfterTheCommitAResumeThatFailsOfItIsTriedAgainOnce) {
  moves_until(MovementState::Resuming);
  (void)exits();
  EXPECT_TRUE(does(failed(Step::Resume), Step::Resume));
  EXPECT_TRUE(reports<link::Moved>(done(Step::Resume)));
}

TEST_F(ApplicationExitTest, InARollbackItIsWhatIsWanted) {
  moves_until(MovementState::Preparing);
  (void)failed(Step::PrepareMovement);
  EXPECT_TRUE(exits().empty());
  EXPECT_EQ(movement(), MovementState::RollingBack);
}

TEST_F(ApplicationExitTest, AnAdoptedMovementPastItsCommitIsToldAsNotServed) {
  const link::RunMirror mirror{spec(), Term{1}, BladeId{"blade-2"}, {}, {}};
  (void)sut_.adopt(at(++now_), {spec(), RoleStage::Moving, Term{2}, Term{3}, false, mirror}, {.committed = true});
  (void)done(Step::AdoptGuest);
  EXPECT_TRUE(does(exits(), Step::Discard));
  const auto back = done(Step::Discard);
  EXPECT_FALSE(tells(back, GuestOrder::Resume));
  EXPECT_TRUE(reports<link::MirrorState>(back)) << "only another movement brings the role back";
}

// --- the host's place ---

TEST_F(ApplicationExitTest, WhileTheHostPreparesItFailsTheStepWhateverItsAnswer) {
  host_prepares();
  (void)exits();
  const auto effects = done(Step::PrepareHost);
  EXPECT_FALSE(does(effects, Step::OpenHostGate));
  EXPECT_TRUE(reports<link::ServeFailed>(effects));
  EXPECT_FALSE(held());

  host_prepares();
  (void)exits();
  EXPECT_TRUE(reports<link::ServeFailed>(failed(Step::PrepareHost)));
  EXPECT_FALSE(held());
}

TEST_F(ApplicationExitTest, AFailedTryToPrepareLeavesNoMarkOnTheNext) {
  host_prepares();
  (void)exits();
  (void)order(link::ServeRole{spec(), Term{2}});
  EXPECT_TRUE(does(done(Step::PrepareHost), Step::OpenHostGate));
}

TEST_F(ApplicationExitTest, WhileTheHostOpensTheGateClosesAgain) {
  host_opens();
  const auto effects = exits();
  EXPECT_TRUE(does(effects, Step::CloseHostGate));
  EXPECT_TRUE(reports<link::ServeFailed>(effects));
  EXPECT_TRUE(done(Step::OpenHostGate).empty()) << "not served any more";
  EXPECT_TRUE(reports<link::Stopped>(done(Step::CloseHostGate)));
  EXPECT_FALSE(held());
}

TEST_F(ApplicationExitTest, AGateThatOpenedHalfIsClosedBeforeTheRoleIsForgotten) {
  host_opens();
  const auto effects = failed(Step::OpenHostGate);
  EXPECT_TRUE(does(effects, Step::CloseHostGate));
  EXPECT_TRUE(reports<link::ServeFailed>(effects));
  EXPECT_TRUE(held());
}

TEST_F(ApplicationExitTest, WhereItServesItIsToldAndStartedAgainByTheNextOrder) {
  host_serves();
  EXPECT_TRUE(reports<link::ApplicationFailed>(exits()));
  const auto again = order(link::ServeRole{spec(), Term{1}});
  EXPECT_FALSE(reports<link::Serving>(again)) << "its application does not run";
  EXPECT_TRUE(does(again, Step::AdoptHost));
  EXPECT_TRUE(reports<link::Serving>(done(Step::AdoptHost)));
  EXPECT_TRUE(reports<link::Serving>(order(link::ServeRole{spec(), Term{1}})));
}

TEST_F(ApplicationExitTest, ARoleThatWasMovedHereHasNoOtherPlaceAndIsStartedAgainByItself) {
  moved();
  EXPECT_TRUE(reports<link::ApplicationFailed>(exits()));
  ASSERT_TRUE(sut_.next_deadline());
  EXPECT_TRUE(order(link::ServeRole{spec(), Term{3}}).empty()) << "it is under way already";
  EXPECT_TRUE(does(sut_.step(*sut_.next_deadline(), Tick{}), Step::AdoptHost));
  EXPECT_TRUE(reports<link::Serving>(done(Step::AdoptHost)));
}

TEST_F(ApplicationExitTest, AMovedRoleWhoseApplicationNeverStartsKeepsItsNamespaceForTheNextOrder) {
  moved();
  (void)exits();
  for (int i = 0; i < 20 && stage() == RoleStage::ServingHost; ++i) {
    if (const auto next = sut_.next_deadline()) { (void)sut_.step(*next, Tick{}); }
    (void)failed(Step::AdoptHost);
  }
  ASSERT_EQ(stage(), RoleStage::ClosingHost);
  EXPECT_TRUE(reports<link::Stopped>(done(Step::CloseHostGate)));
  ASSERT_TRUE(held());
  EXPECT_TRUE(does(order(link::ServeRole{spec(), Term{3}}), Step::PrepareHost));
  EXPECT_TRUE(sut_.roles().at(role).moved);
  (void)failed(Step::PrepareHost);
  ASSERT_TRUE(held());
  EXPECT_TRUE(sut_.roles().at(role).moved);
}

TEST_F(ApplicationExitTest, DuringAnAdoptionItIsToldAndTheAdoptionTriedAgain) {
  (void)sut_.adopt(at(++now_), {spec(), RoleStage::ServingHost, Term{4}, {}, false, {}}, {.gate_open = true});
  EXPECT_TRUE(reports<link::ApplicationFailed>(exits()));
  EXPECT_FALSE(reports<link::Serving>(done(Step::AdoptHost))) << "it became active, then it ended";
  EXPECT_TRUE(does(sut_.step(at(now_ += 1000), Tick{}), Step::AdoptHost));
  EXPECT_TRUE(reports<link::Serving>(done(Step::AdoptHost)));
}

TEST_F(ApplicationExitTest, EveryHelloTellsItUntilTheApplicationRunsAgain) {
  host_serves();
  (void)exits();  // its report may be lost with the connection
  const auto hello = step(ControlConnected{});
  ASSERT_TRUE(reports<link::ApplicationFailed>(hello));
  EXPECT_TRUE(std::holds_alternative<link::Hello>(std::get<SendReport>(hello.front()).report)) << "in this order";
  (void)order(link::ServeRole{spec(), Term{1}});
  EXPECT_TRUE(reports<link::ApplicationFailed>(step(ControlConnected{}))) << "it is only being started";
  EXPECT_TRUE(reports<link::Serving>(done(Step::AdoptHost)));
  EXPECT_FALSE(reports<link::ApplicationFailed>(step(ControlConnected{})));
}

TEST_F(ApplicationExitTest, ServingIsNotSaidBeforeTheApplicationRunsAgain) {
  host_serves();
  (void)exits();
  EXPECT_TRUE(does(order(link::ServeRole{spec(), Term{1}}), Step::AdoptHost));
  EXPECT_TRUE(order(link::ServeRole{spec(), Term{1}}).empty()) << "it is under way";
  (void)failed(Step::AdoptHost);
  EXPECT_TRUE(order(link::ServeRole{spec(), Term{1}}).empty()) << "it is tried again soon";
  EXPECT_TRUE(does(sut_.step(*sut_.next_deadline(), Tick{}), Step::AdoptHost));
  EXPECT_TRUE(reports<link::Serving>(done(Step::AdoptHost)));
}

TEST_F(ApplicationExitTest, ARoleThatIsGivenUpHereIsNotStartedAgainByItself) {
  moved();
  (void)exits();
  for (int i = 0; i < 20 && stage() == RoleStage::ServingHost; ++i) {
    if (const auto next = sut_.next_deadline()) { (void)sut_.step(*next, Tick{}); }
    (void)exits();  // it starts and ends at once
    (void)failed(Step::AdoptHost);
  }
  ASSERT_EQ(stage(), RoleStage::ClosingHost);
  EXPECT_FALSE(sut_.next_deadline());
  (void)done(Step::CloseHostGate);
  EXPECT_FALSE(sut_.next_deadline());
}

TEST_F(ApplicationExitTest, AfterTheCommitOneThatAlwaysEndsAtOnceIsTriedWithPauses) {
  moves_until(MovementState::Resuming);
  bool paused = false;
  for (int i = 0; i < 20 && !paused; ++i) {
    (void)exits();
    paused = !does(done(Step::Resume), Step::Resume);
  }
  ASSERT_TRUE(paused);
  EXPECT_TRUE(does(sut_.step(*sut_.next_deadline(), Tick{}), Step::Resume));
}

TEST_F(ApplicationExitTest, WhereNothingOfOursShouldRunItChangesNothing) {
  EXPECT_TRUE(exits().empty());
  host_serves();
  (void)order(link::StandDown{role, Term{2}});
  EXPECT_TRUE(exits().empty());
  EXPECT_EQ(stage(), RoleStage::ClosingHost);
  EXPECT_TRUE(reports<link::Stopped>(done(Step::CloseHostGate)));
  EXPECT_FALSE(held());
}

TEST_F(ApplicationExitTest, AMirrorsStageIsNotTouchedByWhatARolledBackMovementLeft) {
  mirror_runs();
  EXPECT_TRUE(exits().empty());  // StartingGuest
  mirror_synced();
  EXPECT_TRUE(exits().empty());  // Mirroring
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 1000});
  EXPECT_TRUE(exits().empty());  // Activating
  (void)step(GuestReady{role, Term{2}, {}});
  EXPECT_TRUE(exits().empty());  // OpeningMirror
  (void)done(Step::OpenMirrorGate);
  EXPECT_TRUE(exits().empty());
  EXPECT_EQ(stage(), RoleStage::ServingMirror);
  (void)order(link::StandDown{role, Term{3}});
  EXPECT_TRUE(exits().empty());
  EXPECT_EQ(stage(), RoleStage::ClosingMirror);
}

}  // namespace
}  // namespace understudy::host
