// SPDX-License-Identifier: Apache-2.0
#include "core/mirror.hpp"

#include <gtest/gtest.h>

namespace understudy::guest {
namespace {

link::RunMirror mirror(Term term, const std::string& version = "v1") {
  link::RunMirror made;
  made.term = term;
  made.spec.version = version;
  return made;
}

bool does(const Effects& effects, Step step) {
  for (const auto& effect : effects) {
    if (const auto* wanted = std::get_if<Do>(&effect); wanted != nullptr && wanted->step == step) { return true; }
  }
  return false;
}

template <class T>
const T* tells(const Effects& effects) {
  for (const auto& effect : effects) {
    if (const auto* found = std::get_if<T>(&effect)) { return found; }
  }
  return nullptr;
}

class MirrorTest : public testing::Test {
 protected:
  void mirroring(SyncPhase phase) {
    (void)sut_.step(ConfigureOrder{mirror(Term{1})});
    (void)sut_.step(StepDone{Step::Configure});
    (void)sut_.step(SyncChanged{phase, ""});
  }
  void serving() {
    mirroring(SyncPhase::Synced);
    (void)sut_.step(ActivateOrder{Term{2}});
    for (const auto step : {Step::Drain, Step::Install, Step::HandOver, Step::StartApplication}) {
      (void)sut_.step(StepDone{step});
    }
    ASSERT_EQ(sut_.activity(), Activity::Serving);
  }
  Mirror sut_;
};

TEST_F(MirrorTest, SaysReadyOnlyAfterEveryStepOfTheActivationInOrder) {
  mirroring(SyncPhase::Synced);
  EXPECT_TRUE(does(sut_.step(ActivateOrder{Term{2}}), Step::Drain));
  EXPECT_TRUE(does(sut_.step(StepDone{Step::Drain, 1}), Step::Install));
  EXPECT_TRUE(does(sut_.step(StepDone{Step::Install, 2}), Step::HandOver));
  EXPECT_TRUE(does(sut_.step(StepDone{Step::HandOver, 3}), Step::StartApplication));
  const auto effects = sut_.step(StepDone{Step::StartApplication, 4});
  const auto* ready = tells<TellReady>(effects);
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->term, Term{2});
  EXPECT_EQ(ready->phases.size(), 4U);
}

TEST_F(MirrorTest, AnUnfinishedCopyIsNeverActivated) {
  mirroring(SyncPhase::Syncing);
  EXPECT_NE(tells<TellActivateFailed>(sut_.step(ActivateOrder{Term{2}})), nullptr);
  (void)sut_.step(SyncChanged{SyncPhase::Lost, "reset"});
  EXPECT_NE(tells<TellActivateFailed>(sut_.step(ActivateOrder{Term{2}})), nullptr);
}

TEST_F(MirrorTest, AWholeCopyWhoseStreamWasLostIsActivated) {
  mirroring(SyncPhase::Synced);
  (void)sut_.step(SyncChanged{SyncPhase::Lost, "peer gone"});
  EXPECT_TRUE(does(sut_.step(ActivateOrder{Term{2}}), Step::Drain));
}

TEST_F(MirrorTest, ATermThatIsNotAboveTheKnownOneIsRefused) {
  mirroring(SyncPhase::Synced);
  EXPECT_NE(tells<TellActivateFailed>(sut_.step(ActivateOrder{Term{1}})), nullptr);
  EXPECT_EQ(sut_.activity(), Activity::Mirroring);
}

TEST_F(MirrorTest, AnApplicationThatEndsIsStartedAgainUnlessAMovementOrAnActivationDecides) {
  serving();
  const auto effects = sut_.step(ApplicationEnded{"ended by signal 9"});
  ASSERT_NE(tells<TellAlarm>(effects), nullptr);
  EXPECT_EQ(tells<TellAlarm>(effects)->topic, "application") << "it stands until the edge has it active again";
  EXPECT_NE(tells<TellAlarm>(effects), nullptr);
  EXPECT_TRUE(does(effects, Step::RestartApplication));
  (void)sut_.step(QuiesceOrder{});
  EXPECT_FALSE(does(sut_.step(ApplicationEnded{"ended by signal 9"}), Step::RestartApplication));
}

TEST_F(MirrorTest, ARestartedAgentOfAServingGuestAnswersTheSameActivationAndIgnoresTheOldConfiguration) {
  sut_.adopt_serving(Term{2});
  EXPECT_FALSE(does(sut_.step(ConfigureOrder{mirror(Term{1})}), Step::Configure));
  EXPECT_TRUE(sut_.step(ActivateOrder{Term{2}}).empty()) << "its application may not be active yet";
  const auto effects = sut_.step(StepDone{Step::Restore});
  ASSERT_NE(tells<TellReady>(effects), nullptr);
  EXPECT_EQ(tells<TellReady>(effects)->term, Term{2});
  EXPECT_NE(tells<TellActivateFailed>(sut_.step(ActivateOrder{Term{1}})), nullptr);
}

TEST_F(MirrorTest, ARestoredServiceThatNobodyAskedForSaysNothing) {
  sut_.adopt_serving(Term{2});
  EXPECT_TRUE(sut_.step(StepDone{Step::Restore}).empty());
  EXPECT_NE(tells<TellReady>(sut_.step(ActivateOrder{Term{2}})), nullptr);
}

TEST_F(MirrorTest, WhileItsApplicationIsStartedAgainItIsNotReady) {
  serving();
  EXPECT_TRUE(does(sut_.step(ApplicationEnded{"killed"}), Step::RestartApplication));
  EXPECT_TRUE(sut_.step(ActivateOrder{Term{2}}).empty());
  EXPECT_NE(tells<TellReady>(sut_.step(StepDone{Step::Restore})), nullptr);
}

TEST_F(MirrorTest, GrantsOnlyWhenItMayAndNeverAgainAfterItWasStopped) {
  mirroring(SyncPhase::Synced);
  EXPECT_TRUE(sut_.step(GrantAsked{Term{1}, 5}).empty()) << "a restarted agent grants nothing by itself";
  (void)sut_.step(AllowGrantsOrder{Term{1}});
  EXPECT_EQ(sut_.step(GrantAsked{Term{1}, 6}), (Effects{Grant{Term{1}, 6}}));
  EXPECT_TRUE(sut_.step(GrantAsked{Term{2}, 7}).empty());
  EXPECT_EQ(sut_.step(StopGrantsOrder{Term{1}}), (Effects{TellGrantsStopped{Term{1}}}));
  (void)sut_.step(AllowGrantsOrder{Term{1}});
  EXPECT_TRUE(sut_.step(GrantAsked{Term{1}, 8}).empty());
}

TEST_F(MirrorTest, ACopyThatAFormerAgentSyncedIsWholeWithoutItsActive) {
  (void)sut_.step(ConfigureOrder{mirror(Term{1})});
  (void)sut_.step(SyncChanged{SyncPhase::Connecting, ""});
  (void)sut_.step(SyncChanged{SyncPhase::Held, ""});
  const auto effects = sut_.step(StepDone{Step::Configure});
  ASSERT_NE(tells<TellPhase>(effects), nullptr);
  EXPECT_EQ(*tells<TellPhase>(effects), (TellPhase{link::MirrorPhase::Connected, "", Term{1}}));
  EXPECT_TRUE(does(sut_.step(ActivateOrder{Term{2}}), Step::Drain));
}

TEST_F(MirrorTest, WhichCopyIsWholeIsToldByItsTerm) {
  mirroring(SyncPhase::Synced);
  EXPECT_EQ(tells<TellPhase>(sut_.step(SyncChanged{SyncPhase::Lost, ""}))->whole_under, Term{1});
  const auto effects = sut_.step(ConfigureOrder{mirror(Term{3})});
  EXPECT_EQ(tells<TellPhase>(effects)->whole_under, Term{}) << "of the new owner nothing is here yet";
  (void)sut_.step(StepDone{Step::Configure});
  EXPECT_EQ(tells<TellPhase>(sut_.step(SyncChanged{SyncPhase::Syncing, ""}))->whole_under, Term{});
  EXPECT_EQ(tells<TellPhase>(sut_.step(SyncChanged{SyncPhase::Lost, ""}))->whole_under, Term{});
}

TEST_F(MirrorTest, AFailedStepOfTheActivationGoesBackToMirroring) {
  mirroring(SyncPhase::Synced);
  (void)sut_.step(ActivateOrder{Term{2}});
  const auto effects = sut_.step(StepFailed{Step::Drain, "no"});
  EXPECT_NE(tells<TellActivateFailed>(effects), nullptr);
  EXPECT_TRUE(does(effects, Step::BackToMirroring));
  EXPECT_NE(tells<TellActivateFailed>(sut_.step(ActivateOrder{Term{3}})), nullptr) << "until it is synced again";
}

/// What is durable of the activation is taken back first: killed behind its word, the next agent would serve for all it
/// knows, and follow nobody any more.
TEST_F(MirrorTest, AFailedActivationIsToldWhenNothingDurableIsLeftOfIt) {
  mirroring(SyncPhase::Synced);
  (void)sut_.step(ActivateOrder{Term{2}});
  for (const auto step : {Step::Drain, Step::Install, Step::HandOver}) { (void)sut_.step(StepDone{step, 1}); }
  const auto effects = sut_.step(StepFailed{Step::StartApplication, "it has ended"});
  ASSERT_EQ(effects.size(), 2U);
  EXPECT_EQ(effects[0], Effect(Do{Step::BackToMirroring, Term{1}}));
  EXPECT_EQ(effects[1], Effect(TellActivateFailed{"it has ended"}));
}

TEST_F(MirrorTest, AnActivationThatFailedAfterTheDrainMayBeTriedAgainUnderTheSameTerm) {
  mirroring(SyncPhase::Synced);
  (void)sut_.step(ActivateOrder{Term{2}});
  (void)sut_.step(StepDone{Step::Drain, 1});
  EXPECT_NE(tells<TellActivateFailed>(sut_.step(StepFailed{Step::Install, "no memory"})), nullptr);
  EXPECT_TRUE(does(sut_.step(ActivateOrder{Term{2}}), Step::Drain));
}

TEST_F(MirrorTest, AnApplicationThatEndsInAnActivationIsStartedAgainWhenThatHasFailed) {
  mirroring(SyncPhase::Synced);
  (void)sut_.step(ActivateOrder{Term{2}});
  EXPECT_FALSE(does(sut_.step(ApplicationEnded{"killed"}), Step::RestartApplication));
  EXPECT_TRUE(does(sut_.step(StepFailed{Step::Drain, "x"}), Step::RestartApplication));
}

/// The control-server gave the role to its blade under term 2 while the guest was still made the mirror of term 1.
TEST_F(MirrorTest, ANewerOrderThatComesWhileOneIsCarriedOutIsCarriedOutAfterIt) {
  (void)sut_.step(ConfigureOrder{mirror(Term{1})});
  EXPECT_TRUE(sut_.step(ConfigureOrder{mirror(Term{2})}).empty());
  const auto after = sut_.step(StepDone{Step::Configure});
  EXPECT_TRUE(does(after, Step::Configure));
  EXPECT_EQ(sut_.term(), Term{2});
}

TEST_F(MirrorTest, AnnouncesOnlyWhatItServes) {
  mirroring(SyncPhase::Synced);
  EXPECT_EQ(tells<Announce>(sut_.step(AnnounceOrder{})), nullptr);
  serving();
  EXPECT_NE(tells<Announce>(sut_.step(AnnounceOrder{})), nullptr);
}

TEST_F(MirrorTest, WhileServingTheLostStreamMeansNothing) {
  serving();
  EXPECT_TRUE(sut_.step(SyncChanged{SyncPhase::Lost, ""}).empty());
  EXPECT_TRUE(sut_.step(PeerChanged{link::Vote::Down}).empty());
  EXPECT_EQ(tells<HoldMirror>(sut_.step(ConfigureOrder{mirror(Term{5})})), nullptr);
}

TEST_F(MirrorTest, ARolledBackMovementServesOn) {
  serving();
  EXPECT_TRUE(does(sut_.step(QuiesceOrder{}), Step::Quiesce));
  EXPECT_NE(tells<TellQuiesced>(sut_.step(StepDone{Step::Quiesce, 1})), nullptr);
  EXPECT_TRUE(does(sut_.step(ResumeOrder{}), Step::Resume));
  EXPECT_EQ(sut_.activity(), Activity::Serving);
}

TEST_F(MirrorTest, AnApplicationThatEndedWhileItWasQuiescedIsStartedAgainByTheRollback) {
  serving();
  (void)sut_.step(QuiesceOrder{});
  (void)sut_.step(StepDone{Step::Quiesce, 1});
  EXPECT_FALSE(does(sut_.step(ApplicationEnded{"killed"}), Step::RestartApplication)) << "the host may start it";
  const auto resumed = sut_.step(ResumeOrder{});
  EXPECT_TRUE(does(resumed, Step::RestartApplication));
  EXPECT_FALSE(does(resumed, Step::Resume));
  (void)sut_.step(QuiesceOrder{});
  EXPECT_TRUE(does(sut_.step(ResumeOrder{}), Step::Resume)) << "the next one runs";
}

TEST_F(MirrorTest, AnApplicationThatEndedBeforeARolledBackMovementIsWaitedForAndThenReady) {
  serving();
  (void)sut_.step(ApplicationEnded{"killed"});
  (void)sut_.step(QuiesceOrder{});  // its restart ends while the guest is quiesced, and tells nobody
  (void)sut_.step(StepDone{Step::Quiesce});
  EXPECT_TRUE(does(sut_.step(ResumeOrder{}), Step::Resume));
  EXPECT_TRUE(sut_.step(ActivateOrder{Term{2}}).empty()) << "the application is not active yet";
  EXPECT_NE(tells<TellReady>(sut_.step(StepDone{Step::Resume})), nullptr);
}

TEST_F(MirrorTest, AStepThatFailsLateDoesNotEndWhatIsUnderWay) {
  mirroring(SyncPhase::Synced);
  (void)sut_.step(ActivateOrder{Term{2}});
  EXPECT_NE(tells<TellAlarm>(sut_.step(StepFailed{Step::Configure, "late"})), nullptr);
  EXPECT_EQ(sut_.activity(), Activity::Draining);
}

TEST_F(MirrorTest, AnApplicationThatCannotBeQuiescedIsToldAndServesOnAfterTheRollback) {
  serving();
  (void)sut_.step(QuiesceOrder{});
  const auto effects = sut_.step(StepFailed{Step::Quiesce, "not in time"});
  EXPECT_EQ(tells<TellQuiesced>(effects), nullptr);
  ASSERT_NE(tells<TellQuiesceFailed>(effects), nullptr);
  EXPECT_TRUE(does(sut_.step(ResumeOrder{}), Step::Resume));
  EXPECT_EQ(sut_.activity(), Activity::Serving);
  EXPECT_TRUE(sut_.step(StepFailed{Step::Quiesce, "another order came first"}).empty());
}

TEST_F(MirrorTest, ARepeatedConfigurationOfTheSameVersionOnlyTellsAgain) {
  mirroring(SyncPhase::Synced);
  const auto effects = sut_.step(ConfigureOrder{mirror(Term{1})});
  EXPECT_FALSE(does(effects, Step::Configure));
  EXPECT_EQ(*tells<TellPhase>(effects), (TellPhase{link::MirrorPhase::Synced, "", Term{1}}));
}

}  // namespace
}  // namespace understudy::guest
