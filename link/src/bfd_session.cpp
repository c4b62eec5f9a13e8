// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_session.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "understudy/common/result.hpp"

namespace understudy::link::bfd {

namespace {

constexpr unsigned out_of_turn_max = 6;  // coming up takes three, with a Poll and its Final
constexpr Duration out_of_turn_window_min = std::chrono::milliseconds(1);
constexpr Duration late_bound_min = std::chrono::milliseconds(5);
/// Far enough to be "never" and near enough not to overflow when something is added.
constexpr Instant never{Duration(std::numeric_limits<Duration::rep>::max() / 4)};

std::uint32_t to_us(Duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(us, 0, std::numeric_limits<std::uint32_t>::max()));
}

bool same_content(ControlPacket a, ControlPacket b) {
  a.poll = b.poll = a.final_bit = b.final_bit = false;  // 6.8.7: these two alone are no reason to speak early
  return a == b;
}

}  // namespace

Session::Session(const SessionParameters& parameters, Random random, Instant now)
    : parameters_(parameters),
      authenticator_(parameters.authentication),
      transmit_sequence_(parameters.first_sequence - 1),
      random_(std::move(random)),
      advertised_min_tx_(std::max(parameters.desired_min_tx, parameters.not_up_min_tx)),
      advertised_min_rx_(parameters.required_min_rx),
      min_tx_in_use_(advertised_min_tx_),
      min_rx_in_use_(advertised_min_rx_),
      last_transmit_(now),
      next_transmit_(now) {
  UNDERSTUDY_ASSERT(parameters.local_discriminator != 0 && parameters.detect_multiplier != 0);
}

// --- timers -------------------------------------------------------------------------------------------------------

Duration Session::transmit_interval() const {
  if (remote_.required_min_rx == Duration{0}) { return Duration{0}; }
  return std::max(min_tx_in_use_, remote_.required_min_rx);
}

Duration Session::detection_time() const {
  return remote_.detect_multiplier * std::max(min_rx_in_use_, remote_.desired_min_tx);
}

bool Session::periodic() const {
  const bool asked_for_silence =
      remote_.demand && state_ == SessionState::Up && remote_.state == SessionState::Up && poll_ == Poll::None;
  return transmit_interval() > Duration{0} && !asked_for_silence;
}

Duration Session::late_bound() const {
  if (parameters_.late_bound > Duration{0}) { return parameters_.late_bound; }
  const Duration peer_interval =
      remote_.detect_multiplier == 0 ? min_tx_in_use_ : std::max(min_rx_in_use_, remote_.desired_min_tx);
  return std::max(late_bound_min, peer_interval / 2);
}

Instant Session::next_deadline() const {
  Instant next = periodic() ? next_transmit_ : never;
  if (detection_deadline_) { next = std::min(next, *detection_deadline_); }
  return next;
}

void Session::schedule_transmit() {
  scheduled_interval_ = transmit_interval();
  const auto scaled = static_cast<double>(scheduled_interval_.count()) * jitter_;
  next_transmit_ = last_transmit_ + Duration(static_cast<Duration::rep>(scaled));
}

void Session::reschedule_transmit(Instant now) {
  if (transmit_interval() == scheduled_interval_) { return; }  // else an overdue packet would look punctual
  schedule_transmit();
  next_transmit_ = std::max(next_transmit_, now);
}

// --- what the peer said -------------------------------------------------------------------------------------------

Discard Session::session_discard(Instant now, std::span<const std::byte> payload, const ControlPacket& packet) {
  if (packet.your_discriminator != 0 && packet.your_discriminator != parameters_.local_discriminator) {
    return Discard::OtherSession;
  }
  if (packet.your_discriminator == 0 && packet.state != SessionState::Down && packet.state != SessionState::AdminDown) {
    return Discard::StateWithoutDiscriminator;
  }
  // A packet that waited while this observer stood still comes before the tick that notices it.
  if (is_late(now) && late_restarts_ < parameters_.late_restarts_max) {
    authenticator_.own_freeze(now, detection_time());
  }
  return authenticator_.check(now, payload, packet);
}

void Session::on_remote_values(const ControlPacket& packet) {
  remote_.state = packet.state;
  remote_.diagnostic = packet.diagnostic;
  remote_.discriminator = packet.my_discriminator;
  remote_.demand = packet.demand;
  remote_.detect_multiplier = packet.detect_multiplier;
  remote_.desired_min_tx = std::chrono::microseconds(packet.desired_min_tx_us);
  remote_.required_min_rx = std::chrono::microseconds(packet.required_min_rx_us);
  if (packet.final_bit) { on_final(); }
}

std::optional<SessionState> Session::next_state(SessionState received) const {
  using enum SessionState;
  switch (state_) {
    case AdminDown:
      return std::nullopt;
    case Down:
      if (received == Down) { return Init; }
      if (received == Init) { return Up; }
      return std::nullopt;  // Up: the peer has not noticed yet that this session is new; AdminDown: stay
    case Init:
      if (received == Init || received == Up) { return Up; }
      if (received == AdminDown) { return Down; }
      return std::nullopt;
    case Up:
      if (received == Down || received == AdminDown) { return Down; }
      return std::nullopt;
  }
  return std::nullopt;
}

Session::Output Session::on_packet(Instant now, std::span<const std::byte> payload) {
  Output output;
  const auto decoded = decode(payload);
  if (const auto* discard = std::get_if<Discard>(&decoded)) {
    output.discard = *discard;
    return output;
  }
  const auto& packet = std::get<ControlPacket>(decoded);
  output.discard = session_discard(now, payload, packet);
  if (output.discard != Discard::Kept) { return output; }

  on_remote_values(packet);
  authenticator_.heard(now, detection_time());
  reschedule_transmit(now);  // a shorter interval that the peer asks for is honoured at once
  if (state_ == SessionState::AdminDown) {
    output.discard = Discard::SessionAdminDown;
    return output;
  }
  if (const auto next = next_state(packet.state)) {
    output.change = become(*next, *next == SessionState::Down ? Diagnostic::NeighborSignaledDown : diagnostic_);
    reschedule_transmit(now);  // the new state may allow a shorter interval
  }
  detection_deadline_ = now + detection_time();
  late_restarts_ = 0;
  if (packet.poll) {
    output.packet = answer_at_once(now, true);
  } else if (!last_sent_ || !same_content(*last_sent_, content())) {
    output.packet = answer_at_once(now, false);
  }
  return output;
}

/// A path that duplicates and delays makes every answer two, and old ones undo what newer ones said: without a bound
/// two sessions answer each other as fast as they can. What is not said at once is said in turn, and who polls asks
/// again.
bool Session::may_answer_at_once(Instant now) {
  const auto window = std::max(parameters_.desired_min_tx, out_of_turn_window_min);
  if (now - out_of_turn_since_ >= window) {
    out_of_turn_since_ = now;
    out_of_turn_ = 0;
  }
  if (out_of_turn_ < out_of_turn_max) {
    ++out_of_turn_;
    return true;
  }
  next_transmit_ = std::min(next_transmit_, out_of_turn_since_ + window);
  return false;
}

std::optional<EncodedPacket> Session::answer_at_once(Instant now, bool final_bit) {
  if (!may_answer_at_once(now)) { return std::nullopt; }
  return transmit(now, final_bit);
}

// --- time ---------------------------------------------------------------------------------------------------------

bool Session::is_late(Instant now) const { return last_sent_ && now - next_deadline() > late_bound(); }

bool Session::notice_late_wakeup(Instant now) {
  if (!is_late(now)) { return false; }
  ++late_wakeups_;
  if (!detection_deadline_ || late_restarts_ >= parameters_.late_restarts_max) { return false; }
  ++late_restarts_;
  detection_deadline_ = now + detection_time();
  authenticator_.own_freeze(now, detection_time());
  return true;
}

Session::Output Session::on_tick(Instant now) {
  Output output;
  const bool own_freeze = notice_late_wakeup(now);
  if (!own_freeze && detection_deadline_ && now >= *detection_deadline_) {
    detection_deadline_.reset();
    const bool was_alive = state_ == SessionState::Init || state_ == SessionState::Up;
    if (was_alive) { output.change = become(SessionState::Down, Diagnostic::DetectionTimeExpired); }
    remote_ = Remote{};  // 6.8.1: who was silent for a detection time is a stranger again
    reschedule_transmit(now);
    if (was_alive) { output.packet = transmit(now, false); }
  }
  if (!output.packet && periodic() && now >= next_transmit_) { output.packet = transmit(now, false); }
  return output;
}

// --- own state and parameters -------------------------------------------------------------------------------------

StateChange Session::become(SessionState next, Diagnostic diagnostic) {
  const StateChange change{state_, next, next == SessionState::Up ? Diagnostic::None : diagnostic, remote_.state,
                           remote_.diagnostic};
  state_ = next;
  diagnostic_ = change.diagnostic;
  const bool up = next == SessionState::Up;
  advertise(up ? parameters_.desired_min_tx : std::max(parameters_.desired_min_tx, parameters_.not_up_min_tx),
            parameters_.required_min_rx);
  return change;
}

void Session::advertise(Duration desired_min_tx, Duration required_min_rx) {
  if (desired_min_tx == advertised_min_tx_ && required_min_rx == advertised_min_rx_) {
    if (state_ != SessionState::Up) { min_tx_in_use_ = advertised_min_tx_, min_rx_in_use_ = advertised_min_rx_; }
    return;
  }
  advertised_min_tx_ = desired_min_tx;
  advertised_min_rx_ = required_min_rx;
  // Up: slower sending and stricter listening wait until the peer has confirmed them (6.8.3).
  const bool up = state_ == SessionState::Up;
  min_tx_in_use_ = up ? std::min(min_tx_in_use_, desired_min_tx) : desired_min_tx;
  min_rx_in_use_ = up ? std::max(min_rx_in_use_, required_min_rx) : required_min_rx;
  // A Final that is under way may answer the older values: they are asked about once more.
  poll_ = poll_ == Poll::None ? Poll::Active : Poll::ActiveThenAgain;
}

void Session::on_final() {
  if (poll_ == Poll::ActiveThenAgain) {
    poll_ = Poll::Active;
    return;
  }
  poll_ = Poll::None;
  min_tx_in_use_ = advertised_min_tx_;
  min_rx_in_use_ = advertised_min_rx_;
}

Session::Output Session::set_intervals(Instant now, Duration desired_min_tx, Duration required_min_rx) {
  parameters_.desired_min_tx = desired_min_tx;
  parameters_.required_min_rx = required_min_rx;
  const bool up = state_ == SessionState::Up;
  advertise(up ? desired_min_tx : std::max(desired_min_tx, parameters_.not_up_min_tx), required_min_rx);
  reschedule_transmit(now);
  if (detection_deadline_) { detection_deadline_ = std::max(*detection_deadline_, now + detection_time()); }
  return {};  // the next periodic packet carries them: 6.5 forbids additional ones
}

Session::Output Session::set_admin_down(Instant now, bool down) {
  Output output;
  if (down == (state_ == SessionState::AdminDown)) { return output; }
  detection_deadline_.reset();
  output.change = down ? become(SessionState::AdminDown, Diagnostic::AdministrativelyDown)
                       : become(SessionState::Down, Diagnostic::None);
  output.packet = transmit(now, false);
  return output;
}

// --- sending ------------------------------------------------------------------------------------------------------

ControlPacket Session::content() const {
  ControlPacket packet;
  packet.diagnostic = static_cast<std::uint8_t>(diagnostic_);
  packet.state = state_;
  packet.detect_multiplier = parameters_.detect_multiplier;
  packet.my_discriminator = parameters_.local_discriminator;
  packet.your_discriminator = remote_.discriminator;
  packet.desired_min_tx_us = to_us(advertised_min_tx_);
  packet.required_min_rx_us = to_us(advertised_min_rx_);
  packet.authentication_present = authentication().type != BfdAuthentication::None;
  packet.length = static_cast<std::uint8_t>(packet_bytes + section_bytes(authentication()));
  return packet;
}

EncodedPacket Session::transmit(Instant now, bool final_bit) {
  ControlPacket packet = content();
  packet.final_bit = final_bit;
  packet.poll = !final_bit && poll_ != Poll::None;  // never both (6.5)
  advance_sequence(packet);
  last_sent_ = packet;
  last_transmit_ = now;
  // 6.8.7: 75-100 % of the interval; with a multiplier of 1 at most 90 %, or one packet's jitter would be a failure.
  const double spread = parameters_.detect_multiplier == 1 ? 0.15 : 0.25;
  jitter_ = 0.75 + spread * std::clamp(random_(), 0.0, 1.0);
  schedule_transmit();
  auto encoded = encode(packet);
  append_section(encoded, authentication(), transmit_sequence_);
  return encoded;
}

/// 6.7.4: with every packet where it is meticulous, else with every packet that says something new. The last packet of
/// a dead peer can then be replayed for ever: what only meticulous authentication refuses.
void Session::advance_sequence(const ControlPacket& packet) {
  const bool meticulous = authentication().type == BfdAuthentication::MeticulousSha1;
  if (meticulous || !last_sent_ || *last_sent_ != packet) { ++transmit_sequence_; }
}

}  // namespace understudy::link::bfd
