// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What this blade says of itself as a place for its roles, while it is there and their applications live.
///
///   LinkChanged ──────► steady for link_down_ms ──────────┐
///   HealthAnswered ───► so many failures in a row ────────┼─► word for (role, cause) ──► not what was told?
///   ApplicationUnfit ─► at once; fit again after a second ┘                              RoleUnfit, RoleFit
///
///   which words there are        Health   Apparatus   Link
///   this host serves the role      x          x         x
///   its mirror is here                                  x   the links that it serves by, or would
///   between two stages           nothing is said, and what was said stands
///
/// Invariants
///   - Of a role's health commands one runs at a time, and only while this host serves it and its application runs.
///   - Unhealthy by so many failures in a row, healthy again by one success and by nothing else.
///   - A link of which nothing was heard is there: silence about cables accuses nobody.
/// The surprising rule: between two stages nothing is said, not even that a role is fit again. The command that would
/// have said it was not asked, and an alarm that ends by itself would end for no reason.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/effects.hpp"
#include "core/held_record.hpp"

namespace understudy::host {

/// Something that is believed when it has stood for a while. Not for a while in which this daemon stood still: what has
/// changed back meanwhile is told behind the late wake-up. It begins anew then, once, for who is always late is slow.
class Steady {
 public:
  struct Waits {
    Duration bad{0};
    Duration good{0};
  };
  void see(Instant now, bool bad);
  void settle(Instant now, const Waits& waits);
  [[nodiscard]] bool bad() const { return believed_; }
  [[nodiscard]] std::optional<Instant> due(const Waits& waits) const;

 private:
  bool seen_ = false;
  bool believed_ = false;
  Instant since_;
  bool anew_ = false;
};

/// A role that this blade holds, as far as it matters here.
struct FitnessOf {
  const link::RoleSpec& spec;
  RoleStage stage;
  Term term;
  bool application_runs = true;
};

class Fitness {
 public:
  void link_changed(const std::string& network, bool up) { links_[network] = up; }
  void application_said(Instant now, const RoleId& role, const std::string& unfit);
  void health_answered(const FitnessOf& held, const std::string& failure);
  /// Of a role that is not held any more.
  void health_answered(const RoleId& role);

  /// What is to be told, and asked, of one role.
  void settle(Instant now, const FitnessOf& held, Effects& effects);
  /// What is known of other roles is of no use any more.
  void keep_only(const std::set<RoleId>& held);
  /// A new connection: nothing was told on it yet.
  void tell_again();
  [[nodiscard]] std::optional<Instant> next_deadline() const;

 private:
  struct Word {
    std::vector<std::string> networks;
    std::string detail;
  };
  struct Told {
    Term term;
    std::vector<std::string> networks;
    bool operator==(const Told&) const = default;
  };
  struct OfRole {
    std::optional<Instant> check_at;
    bool checking = false;
    Term checking_under;
    std::uint32_t failures = 0;
    bool unhealthy = false;
    std::string complaint;  ///< of the failure that was the one too many
    Steady apparatus;
    std::string reason;  ///< the application's
    std::map<std::string, Steady> links;
    Steady::Waits link_waits;
    std::map<link::UnfitCause, Told> told;
  };

  static bool is_checked(const FitnessOf& held);
  static void ask_health(Instant now, const FitnessOf& held, OfRole& of, Effects& effects);
  [[nodiscard]] static std::map<link::UnfitCause, Word> words(const FitnessOf& held, const OfRole& of);
  void see_links(Instant now, const FitnessOf& held, OfRole& of) const;

  std::map<std::string, bool> links_;  ///< network -> has carrier, as it was told
  std::map<RoleId, OfRole> roles_;
};

}  // namespace understudy::host
