// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What is known about the blades. Facts only; roles decide.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "core/hold_out.hpp"
#include "core/votes.hpp"
#include "core/waver.hpp"

namespace understudy::control {

/// The orders to the switch about one blade: carried out one after the other, each answered once. Only the answer to
/// the last one says how the ports are; what was ordered before may have been undone since.
class PortOrders {
 public:
  enum class Kind : std::uint8_t { Isolate, Readmit };
  /// False: the last order is this very one, and is under way.
  bool order(Kind kind) {
    if (awaited_ != 0 && last_ == kind) { return false; }
    last_ = kind;
    ++awaited_;
    return true;
  }
  /// True: nothing was ordered after what this answers.
  bool answered() {
    awaited_ -= awaited_ != 0 ? 1U : 0U;
    return awaited_ == 0;
  }
  [[nodiscard]] bool awaited(Kind kind) const { return awaited_ != 0 && last_ == kind; }

 private:
  unsigned awaited_ = 0;
  Kind last_ = Kind::Isolate;
};

/// BFD does not hear a blade, or its host-agent's stream has ended and no new one came.
struct Absence {
  Instant began;
  bool alive = false;  ///< its kernel closed the host-agent's stream then: neither it nor the network had failed
  std::optional<Instant> ended;
};

struct Blade {
  BladeConfig config;
  bool connected = false;  ///< its host-agent has said Hello on a living stream
  /// When its kernel showed that it lives although BFD hears no daemon: it closed the host-agent's stream (a dead blade
  /// closes nothing), or a new host-agent said Hello.
  std::optional<Instant> sign_of_life;
  std::optional<Instant> spoke_at;    ///< its host-agent itself told something then
  std::optional<Instant> away_since;  ///< its host-agent's stream ended then and no new one came
  std::optional<Absence> absence;     ///< the last one
  std::string boot_id;
  Ballot bfd;                ///< this control-server's own view
  Waver waver;               ///< of that view, after its first word
  bool isolated = false;     ///< read back from the switch
  bool half_closed = false;  ///< an isolation failed: it is none, but some port may be closed
  PortOrders ports;
  std::optional<Instant> ports_again_at;  ///< closed though they should be open: looked after then
  std::optional<Instant> ports_look_at;   ///< the standby's are looked at again then
  bool looking = false;                   ///< a look at its ports is under way
  bool powered_off = false;               ///< confirmed, and not heard of since
  Instant powered_off_at;
  bool powering_off = false;
  bool heard_while_powering_off = false;  ///< it said Hello since: the answer may be about an earlier life of it
  std::optional<Instant> off_said_at;     ///< such an answer came then: that it is heard may be a voice of before
  HoldOut hold_out;

  bool ports_known = false;  ///< the last answer about them was one

  /// "isolated": all of them, read back; "partly"; "connected"; "unknown": the switch has not told, or an order failed.
  [[nodiscard]] const char* ports_text() const {
    return !ports_known ? "unknown" : isolated ? "isolated" : half_closed ? "partly" : "connected";
  }
  [[nodiscard]] bool maybe_closed() const { return isolated || half_closed; }
  /// After each step: whether it is there.
  void look_for_absence(Instant now);
  /// BFD does not hear it, and no host-agent of it has said Hello since.
  [[nodiscard]] bool silent() const;
  /// BFD does not hear it, and its host-agent has told something that it cannot have said before that: until when this
  /// counts. A kernel that only acknowledges says nothing.
  [[nodiscard]] std::optional<Instant> talks_until(const Timings& timings) const;
  /// From when on it counts as gone for good; nothing: something of it is heard. A host-agent that was killed looks the
  /// same as a dead blade but for the sign of life, so it is given `agent_restart`.
  [[nodiscard]] std::optional<Instant> gone_from(Duration agent_restart) const;
  /// From when on it cannot be off although that was confirmed: BFD hears it for longer than it takes to notice a
  /// silence. Nothing: it is not heard.
  [[nodiscard]] std::optional<Instant> off_is_doubted_at(Duration settle) const;
};

class BladeBook {
 public:
  explicit BladeBook(const GroupConfig& config);
  /// Null: not of this group.
  [[nodiscard]] Blade* find(const BladeId& id);
  [[nodiscard]] const Blade* find(const BladeId& id) const;
  /// A blade that the configuration names.
  [[nodiscard]] Blade& at(const BladeId& id);
  [[nodiscard]] const Blade& at(const BladeId& id) const;
  [[nodiscard]] const std::map<BladeId, Blade>& all() const { return blades_; }
  /// The preferred one first; never none.
  [[nodiscard]] const std::vector<BladeId>& standbys() const { return standbys_; }
  [[nodiscard]] bool is_standby(const BladeId& id) const;
  void look_for_absences(Instant now);
  /// How many were away together with this one, itself included: the absences began within `apart` of each other. Of
  /// two blades only absences at the same time are such. Whose kernel lived meanwhile was not away.
  [[nodiscard]] std::size_t away_together(const BladeId& id, Duration apart) const;
  /// Those that can be away: without the one that this control-server runs on, which is heard without any network.
  [[nodiscard]] std::size_t that_can_be_away() const;

 private:
  std::map<BladeId, Blade> blades_;
  std::vector<BladeId> standbys_;
  BladeId control_blade_;  ///< empty: none of them
};

}  // namespace understudy::control
