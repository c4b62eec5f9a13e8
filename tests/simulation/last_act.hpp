// SPDX-License-Identifier: Apache-2.0
#pragma once
/// After everything was mended and all roles are back: one active dies and is never mended, and something else goes
/// wrong with it. What is only ever seen by a person, a role that nobody serves while its mirror has it all, fails
/// here.
///
///   Away       the control-server is away when it dies, and comes back some seconds later
///   NoSwitch   the switch fails for good, and the standby's host-agent dies somewhere in the takeover
///   Frozen     (leases) neither switch nor power obeys for good, and the active only stands still
///
/// Where networks blink (kFirstBlinkSeed):
///
///   OrderlyOff    it is shut down in order: its host-agent says goodbye to both observers, then the power goes
///   InABlink      the whole maintenance network goes away for a moment, and it dies then
///
/// Where several control-servers are:
///
///   LeaderOff     the leader loses its power for good within a moment before or after
///   LeaderFrozen  it stands still for twelve seconds, and goes on
///   LeaderCut     it does not reach etcd any more
///   Activating    only the application dies; the standby loses its power between Activate and its answer
///   MovedStandby  one of them is on the standby. An active dies, its role moves to the standby's host, which so
///   becomes
///                 an active, and that one dies with the control-server on it. The others must be served, one of the
///                 other control-servers lead and tell that the role is lost; when the standby is back, it serves it.
///
/// Each strikes a role whose mirror has a whole copy at that very moment: while it is scanned anew the role is EXPOSED,
/// its old copy is being overwritten, and a death is the second failure. What counts is the copy itself, not what the
/// control-server has heard of it.
///
/// Invariant: within bound() its role is served by the standby; Activating: by its own blade.

#include "faults.hpp"

namespace understudy::sim {

inline constexpr std::size_t kLastActs = 10;  ///< kinds
inline constexpr Duration kLastAct = 60s;
/// With several control-servers, whatever becomes of the leader: its lease, up to a second more, the next one's
/// reading, its eyes that may be undecided, and the host-agents that have to find it.
inline constexpr Duration kLastActOfSeveral = 25s;

class LastAct {
 public:
  LastAct(Chassis& chassis, Faults& faults);
  /// False: no role is protected, or nothing may be taken over in this chassis.
  bool begin();
  [[nodiscard]] unsigned role() const { return role_; }
  [[nodiscard]] const char* kind() const;
  [[nodiscard]] std::size_t kind_number() const { return static_cast<std::size_t>(kind_); }
  [[nodiscard]] static const char* kind_word(std::size_t number);
  [[nodiscard]] Duration bound() const {
    if (is_moved_standby()) { return 3 * kLastActOfSeveral; }
    return world_.servers() > 1 ? kLastActOfSeveral : kLastAct;
  }
  /// How much later than planned it struck.
  [[nodiscard]] Duration waited() const { return waited_; }
  /// Where the role must be served.
  [[nodiscard]] unsigned site() const { return kind_ == Kind::Activating && !too_late_ ? role_ : world_.standby(); }
  void on_activate(unsigned role);
  /// MovedStandby: looks what the next scene needs, and does it. True: the last one has ended well.
  using Serves = std::function<bool(unsigned role, const RoleView& view)>;
  [[nodiscard]] bool is_moved_standby() const { return kind_ == Kind::MovedStandby; }
  [[nodiscard]] bool step(const Serves& serves);
  [[nodiscard]] std::string waits_for() const;

 private:
  enum class Kind : std::uint8_t {
    Away,
    NoSwitch,
    Frozen,
    LeaderOff,
    LeaderFrozen,
    LeaderCut,
    Activating,
    MovedStandby,
    OrderlyOff,
    InABlink
  };
  enum class Scene : std::uint8_t { TakenOver, Moved, Died, IsBack };
  [[nodiscard]] std::vector<unsigned> candidates() const;
  void strike();
  void strike_active();
  void kill_active();
  /// In a moment in which the mirror has a whole copy: the application may go once round a journal at any time, and who
  /// dies while his mirror is scanned anew has lost its copy by a second failure (rule 23).
  void when_whole(Action strike);
  void strike_leader(Duration at);
  void strike_in_a_blink(Duration at);
  void strike_application();

  Chassis& chassis_;
  World& world_;
  Faults& faults_;
  Random random_;
  Kind kind_ = Kind::Away;
  unsigned role_ = 0;
  Duration waited_{0};
  bool struck_ = false;
  bool too_late_ = false;
  Scene scene_ = Scene::TakenOver;
};

}  // namespace understudy::sim
