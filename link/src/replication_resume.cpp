// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_resume.hpp"

namespace understudy::link::replication {

std::optional<Term> term_at(const std::vector<shm::TermStart>& history, Sequence sequence) {
  std::optional<Term> term;
  for (const auto& start : history) {
    if (start.first <= sequence) { term = start.term; }
  }
  return term;
}

ResumeWay decide_resume(const SenderPoint& sender, const ResumePoint& mirror) {
  if (mirror.syncing || mirror.committed > sender.committed) { return ResumeWay::Full; }
  if (mirror.committed == Sequence{0}) { return ResumeWay::Journal; }  // nothing held, nothing to disagree about
  const auto ours = term_at(sender.history, mirror.committed);
  const auto theirs = term_at(mirror.history, mirror.committed);
  return ours && ours == theirs ? ResumeWay::Journal : ResumeWay::Full;
}

ResumeWay decide_after_lap(const SenderPoint& sender, Sequence held) {
  return held >= sender.purged_up_to ? ResumeWay::Delta : ResumeWay::Full;
}

}  // namespace understudy::link::replication
