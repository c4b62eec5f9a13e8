// SPDX-License-Identifier: Apache-2.0
/// Covers: host-agent/core/blade_answers.cpp, host-agent/core/blade_orders.cpp
#include "core/blade.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "blade_sample.hpp"

namespace understudy::host {
namespace {

template <class T>
std::vector<T> reports(const Effects& effects) {
  std::vector<T> found;
  for (const auto& effect : effects) {
    const auto* sent = std::get_if<SendReport>(&effect);
    if (sent == nullptr) { continue; }
    if (const auto* report = std::get_if<T>(&sent->report)) { found.push_back(*report); }
  }
  return found;
}

class BladeTest : public testing::Test {
 protected:
  Effects order(const link::Order& given) { return sut_.step(at(++now_), OrderArrived{given}); }
  Effects done(Step step) { return sut_.step(at(++now_), StepDone{role, step}); }
  void mirror_synced() {
    (void)order(link::RunMirror{spec(), Term{1}, BladeId{"blade-2"}, {}, {}});
    (void)done(Step::StartGuest);
    (void)sut_.step(at(++now_), GuestHello{role, "boot-a", GuestActivity::Idle});
    (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Synced, "", Term{1}});
  }
  void mirror_serves() {
    mirror_synced();
    (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 1000});
    (void)sut_.step(at(++now_), GuestReady{role, Term{2}, {}});
    (void)done(Step::OpenMirrorGate);
  }
  RoleStage stage() { return sut_.roles().at(role).stage; }

  Blade sut_{BladeId{"blade-4"}, "boot"};
  int now_ = 0;
};

TEST_F(BladeTest, OpensTheHostGateOnlyAfterTheHostIsPrepared) {
  const auto prepared = order(link::ServeRole{spec(), Term{1}});
  EXPECT_TRUE(does(prepared, Step::PrepareHost));
  EXPECT_FALSE(does(prepared, Step::OpenHostGate));
  EXPECT_TRUE(does(done(Step::PrepareHost), Step::OpenHostGate));
  EXPECT_EQ(reports<link::Serving>(done(Step::OpenHostGate)).size(), 1U);
  EXPECT_EQ(stage(), RoleStage::ServingHost);
}

TEST_F(BladeTest, ARepeatedServeOrderOnlyReportsAgain) {
  (void)order(link::ServeRole{spec(), Term{1}});
  (void)done(Step::PrepareHost);
  (void)done(Step::OpenHostGate);
  const auto again = order(link::ServeRole{spec(), Term{1}});
  EXPECT_EQ(again.size(), 1U);
  EXPECT_EQ(reports<link::Serving>(again).size(), 1U);
}

TEST_F(BladeTest, AServedRoleIsFollowedByTheMirrorOfAnotherStandbyWhenItIsToldSo) {
  (void)order(link::ServeRole{spec(), Term{3}});
  (void)done(Step::PrepareHost);
  (void)done(Step::OpenHostGate);
  auto told = spec();
  told.mirror_blade = BladeId{"blade-5"};
  const auto effects = order(link::ServeRole{told, Term{3}});
  EXPECT_EQ(effects, (Effects{HoldSpec{told}, Remember{role}, SendReport{link::Serving{role, Term{3}}}}));
  EXPECT_EQ(sut_.record_of(role)->spec.mirror_blade, BladeId{"blade-5"}) << "a restarted host-agent knows";
  EXPECT_EQ(order(link::ServeRole{told, Term{3}}), (Effects{SendReport{link::Serving{role, Term{3}}}}));
}

TEST_F(BladeTest, OrdersUnderAStaleTermChangeNothing) {
  mirror_serves();
  EXPECT_FALSE(does(order(link::StandDown{role, Term{2}}), Step::CloseMirrorGate));
  EXPECT_TRUE(reports<link::Activated>(order(link::Activate{role, Term{1}, link::StopEvidence::Isolated, 0})).empty());
  EXPECT_EQ(stage(), RoleStage::ServingMirror);
}

TEST_F(BladeTest, AMirrorThatIsNotSyncedIsNotActivated) {
  mirror_synced();
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Syncing, ""});
  const auto effects = order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(reports<link::ActivateFailed>(effects).size(), 1U);
}

TEST_F(BladeTest, AStreamThatEndedLeavesTheCopyWholeAndItIsActivated) {
  mirror_synced();
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Connected, "end of stream", Term{1}});
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(stage(), RoleStage::Activating);
}

TEST_F(BladeTest, ACopyThatARestartedGuestAgentFoundWholeIsActivated) {
  mirror_synced();
  (void)sut_.step(at(++now_), GuestLost{role, "restarted"});
  (void)sut_.step(at(++now_), GuestHello{role, "boot-a", GuestActivity::Idle});
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Starting, ""});
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Connected, "", Term{1}});
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(stage(), RoleStage::Activating);
}

TEST_F(BladeTest, ACopyOfAFormerTermIsNoWholeCopy) {
  mirror_synced();
  (void)order(link::RunMirror{spec(), Term{3}, BladeId{"blade-2"}, {}, {}});
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Connected, "", Term{1}});
  const auto effects = order(link::Activate{role, Term{4}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(reports<link::ActivateFailed>(effects).size(), 1U);
}

TEST_F(BladeTest, ASyncThatWasBrokenOffLeavesNoWholeCopy) {
  mirror_synced();
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Syncing, ""});
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Connected, "end of stream"});
  const auto effects = order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(reports<link::ActivateFailed>(effects).size(), 1U);
}

TEST_F(BladeTest, AFailedActivationMayBeOrderedAgainUnderTheSameTerm) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  const auto closing = sut_.step(at(++now_), GuestRefused{role, "no memory"});
  EXPECT_TRUE(reports<link::ActivateFailed>(closing).empty()) << "the role may be given back on that word";
  ASSERT_TRUE(does(closing, Step::CloseMirrorGate));
  const auto refused = done(Step::CloseMirrorGate);
  ASSERT_EQ(reports<link::ActivateFailed>(refused).size(), 1U);
  EXPECT_EQ(reports<link::ActivateFailed>(refused).front().term, Term{2});
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(stage(), RoleStage::Activating);
}

/// Its agent was restarted and found a mark of an activation that everybody else knows has failed.
TEST_F(BladeTest, AGuestThatServesForAllItKnowsIsReplacedWhenItIsToFollowANewerTerm) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  (void)sut_.step(at(++now_), GuestRefused{role, "the application has ended"});
  (void)done(Step::CloseMirrorGate);
  (void)sut_.step(at(++now_), GuestLost{role, "restarted"});
  (void)sut_.step(at(++now_), GuestHello{role, "boot-a", GuestActivity::Serving});
  EXPECT_EQ(stage(), RoleStage::Mirroring);
  EXPECT_TRUE(does(order(link::RunMirror{spec(), Term{3}, BladeId{"blade-2"}, {}, {}}), Step::StopGuest));
}

TEST_F(BladeTest, AGuestThatCouldNotBeConfiguredIsConfiguredAgainWhenItIsToTakeOver) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  (void)sut_.step(at(++now_), GuestHello{role, "boot-a", GuestActivity::Idle});  // its agent was restarted
  (void)sut_.step(at(++now_), GuestRefused{role, "this guest does not mirror anything yet"});
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Failed, "the kernel does not answer"});
  (void)done(Step::CloseMirrorGate);
  const auto refused = order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(reports<link::ActivateFailed>(refused).size(), 1U);
  const Effect configure = TellGuest{role, GuestOrder::Configure, Term{1}};
  EXPECT_EQ(std::count(refused.begin(), refused.end(), configure), 1) << "nobody else would ever do it";
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Connected, "", Term{1}});
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_EQ(stage(), RoleStage::Activating);
}

TEST_F(BladeTest, ALateFailureOfAMovementThatWasRolledBackForgetsNothing) {
  mirror_serves();
  const auto effects = sut_.step(at(++now_), StepFailed{role, Step::PrepareMovement, "too late"});
  EXPECT_TRUE(reports<link::ServeFailed>(effects).empty());
  EXPECT_EQ(stage(), RoleStage::ServingMirror);
}

TEST_F(BladeTest, AMirrorSaysStoppedOnlyAfterItsGateHasClosed) {
  mirror_serves();
  const auto ordered = order(link::StandDown{role, Term{3}});
  EXPECT_TRUE(does(ordered, Step::CloseMirrorGate));
  EXPECT_TRUE(reports<link::Stopped>(ordered).empty());
  const auto closed = done(Step::CloseMirrorGate);
  EXPECT_EQ(reports<link::Stopped>(closed).size(), 1U);
  EXPECT_TRUE(does(closed, Step::StopGuest));  // its region is no copy any more
}

TEST_F(BladeTest, AMirrorThatIsBeingStoppedSaysNothingThatOneWhichFollowsWouldSay) {
  mirror_serves();
  (void)order(link::StandDown{role, Term{3}});
  const auto hello = sut_.step(at(++now_), ControlConnected{});
  EXPECT_EQ(reports<link::Hello>(hello).size(), 1U);
  EXPECT_TRUE(reports<link::MirrorState>(hello).empty()) << "its gate may be open still";
  (void)done(Step::CloseMirrorGate);
  EXPECT_EQ(reports<link::MirrorState>(sut_.step(at(++now_), ControlConnected{})).size(), 1U);
}

TEST_F(BladeTest, AStandDownThatIsRepeatedClosesAGateThatDidNotClose) {
  mirror_serves();
  (void)order(link::StandDown{role, Term{3}});
  (void)sut_.step(at(++now_), StepFailed{role, Step::CloseMirrorGate, "nft"});
  EXPECT_TRUE(does(order(link::StandDown{role, Term{3}}), Step::CloseMirrorGate));
  EXPECT_EQ(reports<link::Stopped>(done(Step::CloseMirrorGate)).size(), 1U);
}

/// The blade that was to have the role had no host-agent in the moment of the first answer.
TEST_F(BladeTest, AStandDownThatIsRepeatedAfterItWasDoneIsAnsweredAgain) {
  mirror_synced();
  (void)order(link::StandDown{role, Term{3}});
  ASSERT_EQ(reports<link::Stopped>(done(Step::CloseMirrorGate)).size(), 1U);
  const auto again = order(link::StandDown{role, Term{3}});
  ASSERT_EQ(reports<link::Stopped>(again).size(), 1U);
  EXPECT_EQ(reports<link::Stopped>(again)[0].term, Term{3});
  EXPECT_TRUE(reports<link::Stopped>(order(link::StandDown{role, Term{2}})).empty())
      << "an older one is none of its own";
}

TEST_F(BladeTest, NothingIsSaidToHaveStoppedWhoseGateIsStillBeingClosed) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  (void)sut_.step(at(++now_), GuestRefused{role, "no"});
  ASSERT_EQ(stage(), RoleStage::Mirroring);
  EXPECT_TRUE(reports<link::Stopped>(order(link::StandDown{role, Term{1}})).empty());
}

TEST_F(BladeTest, AVoteIsForgottenWithTheGuestAgentThatGaveIt) {
  mirror_synced();
  (void)sut_.step(at(++now_), GuestVote{role, link::Vote::Up});
  const auto votes = reports<link::PeerVote>(sut_.step(at(++now_), GuestLost{role, "gone"}));
  ASSERT_EQ(votes.size(), 1U);
  EXPECT_EQ(votes[0].vote, link::Vote::Unknown);
}

TEST_F(BladeTest, AWarningAboutAMirrorIsToldAndChangesNothing) {
  mirror_synced();
  const auto before = stage();
  const auto told = reports<link::MirrorWarning>(sut_.step(at(++now_), GuestWarning{role, "its region is slow"}));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].detail, "its region is slow");
  EXPECT_EQ(stage(), before);
  const auto unknown = sut_.step(at(++now_), GuestWarning{RoleId{"role-9"}, "slow"});
  EXPECT_TRUE(reports<link::MirrorWarning>(unknown).empty());
}

TEST_F(BladeTest, ARebootedGuestIsNoLongerSynced) {
  mirror_synced();
  (void)sut_.step(at(++now_), GuestHello{role, "boot-b", GuestActivity::Idle});
  EXPECT_EQ(reports<link::ActivateFailed>(order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0})).size(),
            1U);
}

TEST_F(BladeTest, WithoutStopEvidenceNobodyIsActivated) {
  mirror_synced();
  const auto effects = order(link::Activate{role, Term{2}, link::StopEvidence::None, 0});
  EXPECT_EQ(reports<link::ActivateFailed>(effects).size(), 1U);
  EXPECT_EQ(stage(), RoleStage::Mirroring);
}

TEST_F(BladeTest, TheMirrorGateOpensOnlyWhenTheGuestIsReadyForThisTerm) {
  mirror_synced();
  const auto activated = order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 0});
  EXPECT_FALSE(does(activated, Step::OpenMirrorGate));
  EXPECT_FALSE(does(sut_.step(at(++now_), GuestReady{role, Term{9}, {}}), Step::OpenMirrorGate));
  EXPECT_TRUE(does(sut_.step(at(++now_), GuestReady{role, Term{2}, {}}), Step::OpenMirrorGate));
  const auto opened = done(Step::OpenMirrorGate);
  EXPECT_EQ(reports<link::Activated>(opened).size(), 1U);
}

TEST_F(BladeTest, AMirrorSaysNothingOfItselfBetweenARefusalAndTheClosingOfItsGate) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 100});
  (void)sut_.step(at(now_ + 101), Tick{});
  const auto early = sut_.step(at(now_ + 102), GuestPhase{role, link::MirrorPhase::Synced, "", Term{1}});
  EXPECT_TRUE(reports<link::MirrorState>(early).empty()) << "it would pass for one that follows, and its gate is open";
  EXPECT_EQ(reports<link::MirrorState>(done(Step::CloseMirrorGate)).size(), 1U);
}

TEST_F(BladeTest, AnActivationPastItsDeadlineClosesTheGate) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 100});
  const auto late = sut_.step(at(now_ + 101), Tick{});
  EXPECT_TRUE(does(late, Step::CloseMirrorGate));
  EXPECT_EQ(reports<link::ActivateFailed>(done(Step::CloseMirrorGate)).size(), 1U);
}

TEST_F(BladeTest, AGuestThatWasAboutToBeStartedAgainWhenToldToStandDownIsStartedByTheNextOrder) {
  mirror_synced();
  (void)sut_.step(at(++now_), GuestExited{role, "killed"});
  (void)order(link::StandDown{role, Term{2}});
  (void)done(Step::CloseMirrorGate);
  ASSERT_EQ(stage(), RoleStage::StartingGuest);
  EXPECT_TRUE(does(order(link::RunMirror{spec(), Term{2}, BladeId{"blade-2"}, {}, {}}), Step::StartGuest));
}

TEST_F(BladeTest, AMovedRoleIsServedByTheHostUnderTheReservedTerm) {
  mirror_serves();
  (void)order(link::Move{role, Term{3}});
  for (const auto step : {Step::PrepareMovement, Step::CloseMirrorGate, Step::SendMarkers}) { (void)done(step); }
  (void)sut_.step(at(++now_), GuestQuiesced{role});
  for (const auto step : {Step::Freeze, Step::Finish, Step::Commit, Step::Resume}) { (void)done(step); }
  EXPECT_EQ(stage(), RoleStage::ServingHost);
  EXPECT_EQ(sut_.roles().at(role).term, Term{3});
}

TEST_F(BladeTest, AFailedMovementLeavesTheMirrorServing) {
  mirror_serves();
  (void)order(link::Move{role, Term{3}});
  (void)sut_.step(at(++now_), StepFailed{role, Step::PrepareMovement, "no namespace"});
  (void)done(Step::Rollback);
  EXPECT_EQ(stage(), RoleStage::ServingMirror);
  EXPECT_EQ(sut_.roles().at(role).term, Term{2});
}

TEST_F(BladeTest, AReleaseThatWouldStopAServedRoleIsRefused) {
  mirror_serves();
  EXPECT_FALSE(does(order(link::ReleaseMirrors{}), Step::ReleaseGuests));
}

TEST_F(BladeTest, AGuestThatDoesNotStayUpIsRestartedABoundedNumberOfTimes) {
  (void)order(link::RunMirror{spec(), Term{1}, BladeId{"blade-2"}, {}, {}});
  int starts = 1;
  for (int i = 0; i < 20; ++i) {
    (void)sut_.step(at(now_ += 3000), GuestExited{role, "exit status 1"});
    if (does(sut_.step(at(now_ += 3000), Tick{}), Step::StartGuest)) { ++starts; }
  }
  EXPECT_EQ(starts, 5);
}

TEST_F(BladeTest, AnOrderToMirrorStartsNoSecondGuestWhileTheLastStartIsUnderWay) {
  const link::RunMirror run{spec(), Term{1}, BladeId{"blade-2"}, {}, {}};
  (void)order(run);
  for (int start = 2; start <= 5; ++start) {
    (void)sut_.step(at(now_ += 3000), GuestExited{role, "exit status 1"});
    EXPECT_TRUE(does(sut_.step(at(now_ += 3000), Tick{}), Step::StartGuest));
  }
  EXPECT_FALSE(does(order(run), Step::StartGuest));  // the fifth is booting
  (void)sut_.step(at(now_ += 3000), GuestExited{role, "exit status 1"});
  EXPECT_FALSE(does(sut_.step(at(now_ += 3000), Tick{}), Step::StartGuest));
  EXPECT_TRUE(does(order(run), Step::StartGuest));
  EXPECT_FALSE(does(order(run), Step::StartGuest));
}

TEST_F(BladeTest, AGuestThatDiesInItsActivationIsAFailedOneAndIsStartedAgain) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 1000});
  EXPECT_TRUE(does(sut_.step(at(++now_), GuestExited{role, "killed"}), Step::CloseMirrorGate));
  EXPECT_EQ(reports<link::ActivateFailed>(done(Step::CloseMirrorGate)).size(), 1U);
  EXPECT_TRUE(does(sut_.step(at(now_ += 3000), Tick{}), Step::StartGuest));
}

/// A control-server whose store was lost must not give it to somebody else.
TEST_F(BladeTest, ATermThatAFailedActivationUsedUpIsTold) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 1000});
  (void)sut_.step(at(++now_), GuestRefused{role, "the application has ended"});
  (void)done(Step::CloseMirrorGate);
  const auto hello = reports<link::Hello>(sut_.step(at(++now_), ControlConnected{}));
  ASSERT_EQ(hello.size(), 1U);
  ASSERT_EQ(hello[0].held.size(), 1U);
  EXPECT_EQ(hello[0].held[0].term, Term{2});
  EXPECT_FALSE(hello[0].held[0].serving);
}

/// Its region may be there still, written under that term, while nothing of the role is held any more.
TEST_F(BladeTest, TheHighestTermOfARoleThatWasGivenUpIsTold) {
  (void)order(link::ServeRole{spec(), Term{5}});
  const auto failed = sut_.step(at(++now_), StepFailed{role, Step::PrepareHost, "no such interface"});
  ASSERT_TRUE(sut_.roles().empty());
  EXPECT_TRUE(std::find(failed.begin(), failed.end(), Effect{Remember{role}}) != failed.end());
  const std::vector<link::KnownTerm> known{{role, Term{5}}};
  EXPECT_EQ(reports<link::Hello>(sut_.step(at(++now_), ControlConnected{})).at(0).known, known);

  Blade next{BladeId{"blade-4"}, "boot"};
  EXPECT_FALSE(sut_.record_of(role));
  next.adopt(sut_.given_up_of(role));
  const auto hello = reports<link::Hello>(next.step(at(++now_), ControlConnected{}));
  EXPECT_EQ(hello.at(0).known, known) << "a restarted host-agent must know it too";
  (void)next.step(at(++now_), OrderArrived{link::ServeRole{spec(), Term{2}}});
  EXPECT_EQ(next.record_of(role).value().highest, Term{5}) << "held again under an older store's term";
}

TEST_F(BladeTest, TheTermOfAFailedActivationIsKnownWhenItsMirrorIsReleased) {
  mirror_synced();
  (void)order(link::Activate{role, Term{4}, link::StopEvidence::Isolated, 1000});
  (void)sut_.step(at(++now_), GuestRefused{role, "the application has ended"});
  (void)done(Step::CloseMirrorGate);
  (void)order(link::ReleaseMirrors{});
  (void)sut_.step(at(++now_), GuestsReleased{0});
  EXPECT_EQ(sut_.given_up_of(role).highest, Term{4});
}

TEST_F(BladeTest, AnotherStateStoreThatWasObeyedUntilNowIsTold) {
  const auto hello = reports<link::Hello>(sut_.step(at(++now_), ControlConnected{"another"}));
  ASSERT_EQ(hello.size(), 1U);
  EXPECT_EQ(hello[0].state_before, "another");
  EXPECT_EQ(reports<link::Hello>(sut_.step(at(++now_), ControlConnected{})).at(0).state_before, "");
}

TEST_F(BladeTest, SyncedIsNotSaidOfATermThatTheGuestDoesNotFollowYet) {
  mirror_synced();
  const auto ordered = order(link::RunMirror{spec(), Term{3}, BladeId{"blade-2"}, {}, {}});
  ASSERT_EQ(reports<link::MirrorState>(ordered).size(), 1U);
  EXPECT_EQ(reports<link::MirrorState>(ordered)[0].phase, link::MirrorPhase::Connected);
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Synced, "", Term{1}});
  EXPECT_EQ(sut_.roles().at(role).phase, link::MirrorPhase::Connected) << "said before it heard of the new term";
  (void)sut_.step(at(++now_), GuestPhase{role, link::MirrorPhase::Synced, "", Term{3}});
  (void)order(link::StandDown{role, Term{4}});
  (void)done(Step::CloseMirrorGate);
  const auto again = order(link::RunMirror{spec(), Term{4}, BladeId{"blade-2"}, {}, {}});
  ASSERT_EQ(reports<link::MirrorState>(again).size(), 1U);
  EXPECT_EQ(reports<link::MirrorState>(again)[0].phase, link::MirrorPhase::Connected);
}

/// The mirror's gate did not open: the guest was told nothing of it, serves for all it knows, and follows nobody.
TEST_F(BladeTest, AGuestThatWasReadyInAFailedActivationIsReplacedBeforeItMirrorsAgain) {
  mirror_synced();
  (void)order(link::Activate{role, Term{2}, link::StopEvidence::Isolated, 1000});
  (void)sut_.step(at(++now_), GuestReady{role, Term{2}, {}});
  (void)sut_.step(at(++now_), StepFailed{role, Step::OpenMirrorGate, "x"});
  (void)done(Step::CloseMirrorGate);
  (void)order(link::StandDown{role, Term{3}});
  EXPECT_TRUE(does(done(Step::CloseMirrorGate), Step::StopGuest));
}

TEST_F(BladeTest, SaysWhatIsReallyThereAfterAReconnection) {
  mirror_serves();
  const auto hello = reports<link::Hello>(sut_.step(at(++now_), ControlConnected{}));
  ASSERT_EQ(hello.size(), 1U);
  ASSERT_EQ(hello[0].held.size(), 1U);
  EXPECT_TRUE(hello[0].held[0].serving);
  EXPECT_EQ(hello[0].held[0].kind, PlaceKind::Mirror);
  EXPECT_EQ(hello[0].held[0].term, Term{2});
}

TEST_F(BladeTest, AMovementThatIsOrderedWhileAnEarlierOneRollsBackIsAnsweredWithItsEnd) {
  mirror_serves();
  (void)order(link::Move{role, Term{3}});
  EXPECT_TRUE(does(sut_.step(at(++now_), StepFailed{role, Step::PrepareMovement, "no"}), Step::Rollback));
  EXPECT_TRUE(order(link::Move{role, Term{4}}).empty());
  const auto failed = reports<link::MoveFailed>(done(Step::Rollback));
  ASSERT_EQ(failed.size(), 2U);
  EXPECT_EQ(failed[0].term, Term{3});
  EXPECT_EQ(failed[1].term, Term{4});
}

}  // namespace
}  // namespace understudy::host
