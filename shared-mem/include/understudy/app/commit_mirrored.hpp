// SPDX-License-Identifier: Apache-2.0
#pragma once
/// commit(mirrored): may a change be told to the outside yet? An answer that leaves before the mirror holds the
/// change is a promise that a failure of this blade breaks.
///
///   CommitMirrored waiting(writer.put(...).value(), now + 2s);
///   ... whenever convenient, 1 ms apart while something waits:
///   switch (waiting.check(store.mirrored(), now)) { Now / Exposed / Wait / Expired }

#include "understudy/common/types.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::app {

class CommitMirrored {
 public:
  enum class Answer {
    Now,      ///< the mirror holds it
    Exposed,  ///< nobody has to be waited for: there is no mirror, and whoever answers now should say so
    Wait,
    Expired,  ///< the deadline passed; the change is made here all the same
  };
  CommitMirrored(Sequence sequence, Instant deadline) : sequence_(sequence), deadline_(deadline) {}

  [[nodiscard]] Answer check(const shm::Store::Mirrored& mirrored, Instant now) const {
    if (mirrored.acknowledged >= sequence_) { return Answer::Now; }
    if (!mirrored.protected_by_mirror) { return Answer::Exposed; }
    return now < deadline_ ? Answer::Wait : Answer::Expired;
  }
  [[nodiscard]] Sequence sequence() const { return sequence_; }

 private:
  Sequence sequence_;
  Instant deadline_;
};

}  // namespace understudy::app
