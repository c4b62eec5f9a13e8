// SPDX-License-Identifier: Apache-2.0
/// A mirror that is at one frame for longer than its sender waits for a word: it says that it is at work.
/// Covers: link/src/replication_receiver_core.cpp, link/src/replication_mirror_link.cpp
#include "replication_cores.hpp"

namespace understudy::link::replication {
namespace {

constexpr std::uint64_t capacity = 40;

/// A table that becomes so large that it takes many looks at the clock.
shm::RegionSchema growing_stores() {
  auto schema = small_stores();
  schema.stores[0].tables[0] = {"flows", 8, 24, capacity, shm::TableKind::Hashed, 100'000};
  return schema;
}

class ABusyMirror : public ReplicationCores {
 protected:
  ABusyMirror() : ReplicationCores(growing_stores()) {}
  void SetUp() override {
    ReplicationCores::SetUp();
    connect(mirror);
    pass(1 << 20);
    ASSERT_EQ(link->phase(), SenderPhase::Synced);
    phases.clear();
    theirs->on_said = [this](const std::vector<std::byte>& bytes) {
      ++said;
      the_active_goes_on();
      ours->arrive(bytes);
    };
  }
  void the_active_goes_on() {
    while (clock.run_one(mirror_clock.now)) {}
    clock.now = mirror_clock.now;
  }
  /// What the active has committed reaches the mirror, whose work on it takes `each` for a few thousand slots.
  void ship(Duration each) {
    link->poke();
    const auto out = ours->take();
    const auto began = mirror_clock.now;
    mirror_clock.each_look = each;
    theirs->arrive(out);
    mirror_clock.each_look = {};
    took = mirror_clock.now - began;
    the_active_goes_on();
  }
  std::vector<std::byte> word(FrameType type, std::uint64_t frames) const {
    const Progress progress{
        frames, {{net.committed(), net.committed(), false, 1}, {sessions.committed(), sessions.committed(), false, 1}}};
    auto encoded = encode({type, 0, term, digest_of(role), {}}, encode_payload(progress));
    encoded.header.insert(encoded.header.end(), encoded.payload.begin(), encoded.payload.end());
    return encoded.header;
  }

  void says_that_it_works(std::uint64_t frames) {
    mirror_clock.now += 100ms;
    the_active_goes_on();
    (void)ours->take();
    ours->arrive(word(FrameType::Heartbeat, frames));
  }

  Clockwork mirror_clock;
  Mirror mirror{mirror_clock, growing_stores()};
  unsigned said = 0;
  Duration took{};
};

TEST_F(ABusyMirror, WhoseTableGrowsForSecondsKeepsItsStreamAndTheLagIsToldMeanwhile) {
  bool finished = false;
  ASSERT_TRUE(net.rebuild(0).ok());
  for (std::uint64_t i = 0; i < 2 * capacity; ++i) { put(net, 100 + i, i); }
  link->finish([&] { finished = true; });  // as a switchover waits for the last change
  ship(20ms);
  ASSERT_GT(took, 1s) << "the sender's patience is shorter";
  EXPECT_GT(said, 5U);
  EXPECT_LT(said, 60U) << "a word with each beat, not with each look";
  EXPECT_EQ(phases, std::vector{SenderPhase::Stalled}) << "its connection is not ended";
  EXPECT_FALSE(active.store().mirrored().protected_by_mirror);
  EXPECT_LT(link->acknowledged(0), net.committed()) << "what came before the work is held, what waits for it is not";
  EXPECT_FALSE(finished);
  ours->arrive(theirs->take());
  EXPECT_EQ(link->acknowledged(0), net.committed());
  pass(1 << 20);  // a heartbeat may have been on its way
  EXPECT_TRUE(finished);
  EXPECT_EQ(phases, (std::vector{SenderPhase::Stalled, SenderPhase::Synced}));
  EXPECT_EQ(mirror.region.store().capacity(0), 100'000U);
  EXPECT_EQ(content_of(mirror.region.store()), content_of(active.store()));
}

TEST_F(ABusyMirror, IsStalledAfterTheOrdinaryTimeAndKeptForAsLongAsItSpeaks) {
  put(net, 1, 2);
  link->poke();
  (void)ours->take();
  const auto began = clock.now;
  std::optional<Duration> told_after;
  while (clock.now - began < 90s) {
    says_that_it_works(0);
    if (!phases.empty() && !told_after) { told_after = clock.now - began; }
  }
  ASSERT_TRUE(told_after);
  EXPECT_LT(*told_after, 1s);
  EXPECT_EQ(phases, std::vector{SenderPhase::Stalled});
  EXPECT_FALSE(ours->closed());
}

TEST_F(ABusyMirror, IsStalledByTheSumOfWhatItWorksOnAndNotAnewByEach) {
  std::uint64_t done = 0;
  const auto began = clock.now;
  std::optional<Duration> told_after;
  for (unsigned frame = 0; frame < 6; ++frame) {
    put(net, 1, frame);
    link->poke();
    (void)ours->take();
    for (unsigned beat = 0; beat < 6; ++beat) { says_that_it_works(done); }
    ours->arrive(word(FrameType::Ack, ++done));
    if (!phases.empty() && !told_after) { told_after = clock.now - began; }
  }
  ASSERT_TRUE(told_after);
  EXPECT_LT(*told_after, 1300ms) << "with the end of the frame at which the time was over";
  EXPECT_EQ(phases, std::vector{SenderPhase::Stalled}) << "and not protected in between";
}

}  // namespace
}  // namespace understudy::link::replication
