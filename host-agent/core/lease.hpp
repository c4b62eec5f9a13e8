// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The active's side of a lease (rules 3 to 5): what keeps the gate of a served role open.
///
///   off ─ArmLease─► asking ─first grant─► timed ─refresh, refresh, ...─► DisarmLease: off, the gate is plain again
///                     ▲                     │ the element ran out before a refresh: closed by the kernel
///                     └── a grant asked for after that opens it again ──┘
///
/// Invariants
///   I1  A grant is good for `length` from the sending of its request, never from its answer: the answer may be late.
///   I2  The gate is touched only under a grant that is good at that moment; the edge reads the clock again after it.
///   I3  An element that ran out is opened only under a grant that was asked for after that was noticed: a daemon that
///       was frozen cannot reopen by what it was granted before.
/// The surprising rule: nothing here closes the gate. The kernel does, when nothing is done any more.

#include <deque>
#include <optional>
#include <utility>

#include "understudy/link/messages.hpp"

namespace understudy::host {

/// Refresh fails on an element that has run out; Open adds it anew.
enum class TimedHow : std::uint8_t { Open, Refresh };

class Lease {
 public:
  void arm(Instant now, const link::ArmLease& order);
  void disarm();

  /// The request to send now; nothing: it is not time yet.
  std::optional<std::uint64_t> ask(Instant now);
  struct Timing {
    TimedHow how = TimedHow::Open;
    Instant until;  ///< past it the gate must not be touched any more
  };
  /// What to do with the gate under this grant; nothing: it is too late, of nobody's request, or a step is under way.
  std::optional<Timing> granted(Instant now, std::uint64_t nonce);
  /// True: the gate is timed from now on, which is to be told.
  bool done(Instant now);
  void failed(Instant now);
  /// True once: no grant came for half a lease, so that the gate is about to close. Whoever can hear us should expose
  /// the role before that.
  bool starves(Instant now);

  [[nodiscard]] bool armed() const { return order_.has_value(); }
  [[nodiscard]] const std::optional<link::ArmLease>& order() const { return order_; }
  /// Of the order under which the gate is timed; 0: it is not, or no grants keep it open.
  [[nodiscard]] std::uint64_t timed_id() const { return order_ && timed_ && !starving_ ? order_->id : 0; }
  [[nodiscard]] std::optional<Instant> next_deadline() const { return order_ ? std::optional(ask_at_) : std::nullopt; }

 private:
  [[nodiscard]] Duration length() const { return std::chrono::milliseconds(order_->length_ms); }

  std::optional<link::ArmLease> order_;
  std::uint64_t nonce_ = 0;
  std::deque<std::pair<std::uint64_t, Instant>> asked_;  ///< nonce, when it was sent
  Instant ask_at_;
  bool timed_ = false;
  bool busy_ = false;
  bool starving_ = false;
  Instant granted_at_;              ///< the last time that the gate was opened or refreshed
  std::optional<Instant> ran_out_;  ///< noticed then
};

}  // namespace understudy::host
