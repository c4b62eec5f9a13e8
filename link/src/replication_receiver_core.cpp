// SPDX-License-Identifier: Apache-2.0
#include "replication_receiver_core.hpp"

#include "understudy/shm/while_busy.hpp"

namespace understudy::link::replication {
namespace {
constexpr unsigned reads_unacknowledged_max = 4;
}  // namespace

ReceiverCore::ReceiverCore(std::shared_ptr<ReceiverEdge> edge, ReceiverOptions options, shm::Region region,
                           ReceiverCallbacks callbacks)
    : edge_(std::move(edge)),
      options_(std::move(options)),
      region_(std::move(region)),
      callbacks_(std::move(callbacks)),
      applier_(callbacks_),
      role_digest_(digest_of(options_.role)) {}

void ReceiverCore::become(ReceiverPhase next, const std::string& why) {
  if (phase_ == next && detail_ == why) { return; }
  phase_ = next;
  detail_ = why;
  edge_->tell(Edge::Level::Info,
              "mirror of " + options_.role.value + ": " + to_string(next) + (why.empty() ? "" : ", ") + why);
  callbacks_.on_phase(next, why);
}

Result<bool> ReceiverCore::prepare(Term term, bool same_active, bool copy_was_synced) {
  if (term_ && term < *term_) {
    return failure("mirror of " + options_.role.value + " follows term " + std::to_string(term_->value) + ", term " +
                       std::to_string(term.value) + " is stale",
                   Errc::Refused);
  }
  if (same_active && term_ == term && !stopped_ && applier_.acquired()) { return true; }
  close();
  if (auto acquired = applier_.acquire(region_, term, copy_was_synced); !acquired) { return acquired.error(); }
  term_ = term;
  return false;
}

void ReceiverCore::begin(std::string active) {
  make_timers();
  active_ = std::move(active);
  stopped_ = false;
  backoff_ = options_.backoff_min;
  become(ReceiverPhase::Connecting, "");
  connect();
}

void ReceiverCore::make_timers() {
  if (retry_timer_) { return; }
  const auto timer = [this](auto due) {
    return edge_->make_timer([weak = weak_from_this(), due] {
      if (const auto self = weak.lock()) { due(*self); }
    });
  };
  answer_timer_ = timer([](ReceiverCore& self) { self.connect_failed("no answer"); });
  retry_timer_ = timer([](ReceiverCore& self) { self.connect(); });
  heartbeat_timer_ = timer([](ReceiverCore& self) { self.on_heartbeat(); });
  quiet_timer_ = timer([](ReceiverCore& self) { self.look_whether_quiet(); });
  limit_timer_ = timer([](ReceiverCore& self) { self.drained(false, true); });
}

// --- connecting ---

void ReceiverCore::connect() {
  if (stopped_) { return; }
  connecting_ = true;
  answer_timer_->set(edge_->now() + options_.silence);  // a dead blade answers nothing
  edge_->connect([weak = weak_from_this(), mine = ++attempt_](Result<std::shared_ptr<Wire>> wire) {
    const auto self = weak.lock();
    if (!self || self->attempt_ != mine) { return; }
    if (!wire) { return self->connect_failed(wire.error().message); }
    self->on_connected(std::move(wire).value());
  });
}

void ReceiverCore::connect_failed(const std::string& why) {
  edge_->stop_connecting();
  connecting_ = false;
  edge_->tell(Edge::Level::Debug, "mirror of " + options_.role.value + ": " + active_ + ": " + why);
  connect_later();
}

void ReceiverCore::connect_later() {
  ++attempt_;
  answer_timer_->cancel();
  // Not all mirrors at once.
  const auto wait = backoff_ / 2 + backoff_ / 2 * static_cast<int>(edge_->random() % 1000) / 1000;
  backoff_ = std::min(backoff_ * 2, options_.backoff_max);
  retry_timer_->set(edge_->now() + wait);
}

void ReceiverCore::on_connected(std::shared_ptr<Wire> wire) {
  answer_timer_->cancel();
  connecting_ = false;
  progressed_ = false;
  wire_ = std::move(wire);
  const std::weak_ptr<ReceiverCore> weak = weak_from_this();
  Wire::Handlers handlers;
  handlers.on_frame = [weak](const Frame& frame) {
    const auto self = weak.lock();
    return self ? self->on_frame(frame) : Status{};
  };
  handlers.on_read_done = [weak] {
    if (const auto self = weak.lock()) { self->on_read_done(); }
  };
  handlers.on_written = [weak] {
    if (const auto self = weak.lock()) { self->acknowledge(); }
  };
  handlers.on_closed = [weak](const std::string& why) {
    if (const auto self = weak.lock()) { self->on_closed(why); }
  };
  wire_->set_handlers(std::move(handlers));
  applier_.begin_connection();
  grant_due_.reset();
  std::vector<EncodedFrame> hello;
  hello.push_back(encode(header(FrameType::Hello), encode_payload(Hello{options_.role, applier_.resume_points()})));
  wire_->start();
  wire_->write(std::move(hello));
  heartbeat_expected_ = {};
  on_heartbeat();
}

// --- a connection ---

Status ReceiverCore::on_frame(const Frame& frame) {
  if (frame.header.role_digest != role_digest_) { return failure("the sender is of another role", Errc::Refused); }
  if (frame.header.type == FrameType::Refused) {
    const auto refusal = decode_refusal(frame.payload);
    return refusal ? failure("refused by the active: " + refusal.value().text, Errc::Refused) : refusal.error();
  }
  if (frame.header.term != *term_) {
    return failure("the sender's term is " + std::to_string(frame.header.term.value) + ", this mirror follows term " +
                       std::to_string(term_->value),
                   Errc::Refused);
  }
  at_work_since_ = edge_->now();
  const shm::WhileBusy busy([this] { say_at_work(); });
  return applier_.on_frame(frame);
}

/// From inside the applier. The frame that it is at does not count as handled.
void ReceiverCore::say_at_work() {
  const auto now = edge_->now();
  if (now - at_work_since_ < options_.heartbeat || !wire_) { return; }
  at_work_since_ = now;
  auto progress = applier_.progress();
  --progress.frames;
  wire_->say_now(encode(header(FrameType::Heartbeat), encode_payload(progress)));
}

void ReceiverCore::on_read_done() {
  ack_due_ = true;
  // What waits in the socket is read next; an acknowledgement for each read of a backlog would cost both ends more.
  const bool more = ++reads_unacknowledged_ < reads_unacknowledged_max && wire_ && wire_->waiting_bytes() > 0;
  if (!more) { acknowledge(); }
  const bool synced = applier_.synced();
  if (synced && !progressed_) {
    progressed_ = true;
    backoff_ = options_.backoff_min;
  }
  if (on_drained_) { return arm_quiet(); }
  become(synced ? ReceiverPhase::Synced : ReceiverPhase::Syncing, "");
}

void ReceiverCore::acknowledge() {
  if ((!ack_due_ && !grant_due_) || !wire_ || wire_->writing()) { return; }
  std::vector<EncodedFrame> batch;
  if (grant_due_) { batch.push_back(encode(header(FrameType::Grant), encode_payload(GrantNonce{*grant_due_}))); }
  grant_due_.reset();
  if (std::exchange(ack_due_, false)) {
    spoke_ = true;
    reads_unacknowledged_ = 0;
    batch.push_back(encode(header(FrameType::Ack), encode_payload(applier_.progress())));
  }
  wire_->write(std::move(batch));
}

void ReceiverCore::grant(Term term, std::uint64_t nonce) {
  if (stopped_ || !wire_ || term != *term_) { return; }
  grant_due_ = nonce;
  acknowledge();
}

void ReceiverCore::on_heartbeat() {
  if (!wire_) { return; }
  const auto now = edge_->now();
  const bool late = heartbeat_expected_ != Time{} && now - heartbeat_expected_ > options_.silence / 2;
  if (late) { wire_->forgive_silence(); }  // it was us who stood still (rule 2)
  if (now - wire_->last_received() > options_.silence && !on_drained_) {
    wire_->close();
    return on_closed("nothing heard from the active for " + std::to_string(options_.silence.count() / 1'000'000) +
                     " ms");
  }
  // An acknowledgement says everything that a heartbeat would, and so did any other since the last beat.
  ack_due_ = ack_due_ || !std::exchange(spoke_, false);
  acknowledge();
  heartbeat_expected_ = now + options_.heartbeat;
  heartbeat_timer_->set(heartbeat_expected_);
}

void ReceiverCore::on_closed(const std::string& why) {
  heartbeat_timer_->cancel();
  if (on_drained_) { return drained(why == Wire::in_order, false); }
  wire_.reset();
  become(ReceiverPhase::Lost, why);
  if (!stopped_ && !wire_ && !connecting_) { connect_later(); }
}

void ReceiverCore::close() {
  stopped_ = true;
  ++attempt_;
  if (retry_timer_) {
    for (auto* timer : {&answer_timer_, &retry_timer_, &heartbeat_timer_, &quiet_timer_, &limit_timer_}) {
      (*timer)->cancel();
    }
  }
  edge_->stop_connecting();
  connecting_ = false;
  if (wire_) { wire_->close(); }
  wire_.reset();
  on_drained_ = nullptr;
}

void ReceiverCore::release_writers() {
  close();
  applier_.release();
}

// --- draining ---

void ReceiverCore::drain(Duration quiet, Duration limit, std::function<void(const DrainReport&)> done) {
  make_timers();
  stopped_ = true;  // no new connection
  ++attempt_;
  answer_timer_->cancel();
  retry_timer_->cancel();
  edge_->stop_connecting();
  connecting_ = false;
  drain_quiet_ = quiet;
  on_drained_ = std::move(done);
  if (!wire_) {
    edge_->post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) { self->drained(false, false); }
    });
    return;
  }
  limit_timer_->set(edge_->now() + limit);
  arm_quiet();
}

void ReceiverCore::arm_quiet() { quiet_timer_->set(edge_->now() + drain_quiet_); }

void ReceiverCore::look_whether_quiet() {
  if (!on_drained_) { return; }
  // This thread may have been busy: bytes that came meanwhile are not quiet.
  if (wire_ && wire_->waiting_bytes() > 0) { return arm_quiet(); }
  drained(false, false);
}

void ReceiverCore::drained(bool end_of_stream, bool by_deadline) {
  if (!on_drained_) { return; }
  DrainReport report{end_of_stream, by_deadline, wire_ ? wire_->partial_bytes() : 0, applier_.ready(),
                     applier_.status()};
  const auto done = std::exchange(on_drained_, nullptr);
  close();
  become(ReceiverPhase::Drained, "");
  done(report);
}

}  // namespace understudy::link::replication
