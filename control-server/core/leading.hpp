// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which of several control-servers decides: what is asked of etcd next, and what its answers mean. Pure; election.hpp
/// asks the real etcd, the simulator one that is late and loses answers.
///
///     begin ─► [drop the lost lease] ─► keep the lease, or a new one ─► look who leads ─► [campaign] ─► next round
///
///     follower ──the key is not there: created, with our lease──► leader ──not renewed in time, or taken──► follower
///
/// Invariants
///   - The key's create revision is the fencing token: it grows with each leadership.
///   - A leader counts its right from the *sending* of its last renewal that was answered, and `margin` less than the
///     lease: it has ended here before the key can be gone there. An ended right never comes back; the same
///     control-server has to win again, under a new token.
///   - Of what was asked and not answered nothing is assumed: a campaign that was won without our hearing of it is
///     found by its lease.
/// The surprising rule: a leader whose renewal was answered late may have lost the lead already. The right is counted
/// from the sending, and an answer that comes after its end wins nothing back.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "understudy/common/types.hpp"

namespace understudy::control {

struct KeepLease {
  std::int64_t lease = 0;
};
struct GrantLease {};
struct LookWhoLeads {};
struct Campaign {  ///< create the key, unless it is there
  std::int64_t lease = 0;
};
struct DropLease {
  std::int64_t lease = 0;
};
using LeadAsk = std::variant<KeepLease, GrantLease, LookWhoLeads, Campaign, DropLease>;

struct NoAnswer {
  std::string why;
};
struct LeaseKept {
  bool alive = false;  ///< false: etcd does not know it any more
};
struct LeaseGranted {
  std::int64_t lease = 0;
};
struct LeaderSeen {
  std::uint64_t token = 0;  ///< 0: nobody leads
  std::int64_t lease = 0;   ///< by which the key is there
  std::string who;
};
struct CampaignEnded {
  std::uint64_t token =
      0;  ///< of the key that is ours, created now or by a try whose answer did not come; 0: another's
};
struct LeaseDropped {};
using LeadAnswer = std::variant<NoAnswer, LeaseKept, LeaseGranted, LeaderSeen, CampaignEnded, LeaseDropped>;

class Leading {
 public:
  struct Timings {
    Duration lease{std::chrono::seconds(4)};
    Duration margin{std::chrono::milliseconds(1500)};
    Duration patience{0};  ///< how long it lets others go first
  };
  struct Step {
    std::optional<LeadAsk> ask;       ///< none: the round is over
    std::uint64_t won = 0;            ///< a token
    bool extended = false;            ///< the right lasts longer now
    std::optional<std::string> lost;  ///< why
  };
  explicit Leading(Timings timings) : timings_(timings) {}

  /// A round begins; the one before has ended.
  Step begin(Instant now);
  Step answered(Instant now, const LeadAnswer& answer);
  /// The owner cannot go on with this leadership; the next round loses it.
  void give_up(std::uint64_t token, const std::string& why);

  [[nodiscard]] std::uint64_t token() const { return token_; }  ///< 0: we do not lead
  [[nodiscard]] Instant until() const { return until_; }
  [[nodiscard]] bool holds(Instant now, std::uint64_t token) const {
    return token_ != 0 && token_ == token && now < until_;
  }
  [[nodiscard]] std::int64_t lease() const { return lease_; }
  /// Why etcd could not be asked in the last round; empty: it could.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  Step on(Instant now, const NoAnswer& answer);
  Step on(Instant now, const LeaseKept& answer);
  Step on(Instant now, const LeaseGranted& answer);
  Step on(Instant now, const LeaderSeen& answer);
  Step on(Instant now, const CampaignEnded& answer);
  Step on(Instant now, const LeaseDropped& answer);
  Step lose(const std::string& why);
  [[nodiscard]] Step keep_lease() const;
  Step win(std::uint64_t token);

  Timings timings_;
  std::int64_t lease_ = 0;
  std::uint64_t token_ = 0;
  Instant until_;
  Instant sent_;  ///< of this round
  std::optional<Instant> vacant_since_;
  std::uint64_t given_up_ = 0;
  std::string given_up_why_;
  bool drops_first_ = false;  ///< a lease is being dropped before the round goes on
  std::string problem_;
};

}  // namespace understudy::control
