// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_resume.hpp"

#include <gtest/gtest.h>

namespace understudy::link::replication {
namespace {

const std::vector<shm::TermStart> one_owner{{Term{1}, Sequence{1}}};
const std::vector<shm::TermStart> two_owners{{Term{1}, Sequence{1}}, {Term{2}, Sequence{1001}}};
const std::vector<shm::TermStart> later_second_owner{{Term{1}, Sequence{1}}, {Term{3}, Sequence{1001}}};

ResumePoint mirror_at(std::uint64_t committed, std::vector<shm::TermStart> history, bool syncing = false) {
  return {"net", 0, Sequence{committed}, syncing, std::move(history)};
}

TEST(ReplicationResume, AKnownPointGoesOnByTheJournal) {
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1000, one_owner)), ResumeWay::Journal);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1050, two_owners)), ResumeWay::Journal);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(0, {})), ResumeWay::Journal);
}

TEST(ReplicationResume, SequencesOfAnotherOwnerAreReplacedInFull) {
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, later_second_owner}, mirror_at(1050, two_owners)), ResumeWay::Full);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1020, one_owner)), ResumeWay::Full)
      << "the old owner wrote past the takeover";
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1051, two_owners)), ResumeWay::Full);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, {}}, mirror_at(10, {})), ResumeWay::Full) << "unknown is not equal";
}

TEST(ReplicationResume, AnUnfinishedCopyIsReplacedInFull) {
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, one_owner}, mirror_at(1000, one_owner, true)), ResumeWay::Full);
}

TEST(ReplicationResume, AfterALapOnlyACopyWithoutMissedDeletionsGetsADelta) {
  EXPECT_EQ(decide_after_lap({Sequence{900}, Sequence{500}, one_owner}, Sequence{500}), ResumeWay::Delta);
  EXPECT_EQ(decide_after_lap({Sequence{900}, Sequence{500}, one_owner}, Sequence{499}), ResumeWay::Full);
}

TEST(ReplicationResume, AMirrorAheadOfTheSenderIsReplacedEvenIfItsHistoryIsTheSame) {
  EXPECT_EQ(decide_resume({Sequence{10}, {}, one_owner}, mirror_at(11, one_owner)), ResumeWay::Full);
  EXPECT_EQ(decide_resume({Sequence{0}, {}, {}}, mirror_at(1, one_owner)), ResumeWay::Full);
}

TEST(ReplicationResume, TwoEmptyStoresGoOnByTheJournal) {
  EXPECT_EQ(decide_resume({Sequence{0}, {}, {}}, mirror_at(0, {})), ResumeWay::Journal);
}

TEST(ReplicationResume, TheBoundaryOfATakeoverIsTheFirstSequenceOfTheNewOwner) {
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1000, one_owner)), ResumeWay::Journal);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, two_owners}, mirror_at(1001, one_owner)), ResumeWay::Full);
}

TEST(ReplicationResume, AHistoryThatWasCutAtItsOldEndSaysNothingAboutWhatIsBefore) {
  const std::vector<shm::TermStart> cut{{Term{2}, Sequence{1001}}};
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, cut}, mirror_at(1000, one_owner)), ResumeWay::Full);
  EXPECT_EQ(decide_resume({Sequence{1050}, {}, cut}, mirror_at(1001, two_owners)), ResumeWay::Journal);
}

TEST(TermAt, IsTheTermWhoseRangeHoldsTheSequence) {
  EXPECT_EQ(term_at(two_owners, Sequence{0}), std::nullopt);
  EXPECT_EQ(term_at(two_owners, Sequence{1}), Term{1});
  EXPECT_EQ(term_at(two_owners, Sequence{1000}), Term{1});
  EXPECT_EQ(term_at(two_owners, Sequence{1001}), Term{2});
  EXPECT_EQ(term_at(two_owners, Sequence{~std::uint64_t{0}}), Term{2});
  EXPECT_EQ(term_at({}, Sequence{1}), std::nullopt);
}

TEST(ReplicationResume, AfterALapACopyAheadOfEveryDeletionGetsADelta) {
  EXPECT_EQ(decide_after_lap({Sequence{900}, Sequence{0}, one_owner}, Sequence{1}), ResumeWay::Delta);
  EXPECT_EQ(decide_after_lap({Sequence{900}, Sequence{500}, one_owner}, Sequence{501}), ResumeWay::Delta);
  EXPECT_EQ(decide_after_lap({Sequence{900}, Sequence{500}, one_owner}, Sequence{0}), ResumeWay::Full);
}

}  // namespace
}  // namespace understudy::link::replication
