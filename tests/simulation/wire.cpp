// SPDX-License-Identifier: Apache-2.0
#include "wire.hpp"

#include <cstring>

namespace understudy::sim {

namespace repl = link::replication;

namespace {

/// No end of replication waits for TCP to give up: each hears the other's silence itself, long before.
constexpr Duration tcp_gives_up = 900s;

/// Each has room for the largest frame; many connections are made, one after the other.
std::vector<std::unique_ptr<repl::FrameDecoder>>& idle_decoders() {
  static std::vector<std::unique_ptr<repl::FrameDecoder>> decoders;
  return decoders;
}
std::unique_ptr<repl::FrameDecoder> take_decoder() {
  auto& idle = idle_decoders();
  if (idle.empty()) { return std::make_unique<repl::FrameDecoder>(); }
  auto decoder = std::move(idle.back());
  idle.pop_back();
  decoder->reset();
  return decoder;
}

}  // namespace

void SimTimer::set(repl::Time at) {
  auto& state = *state_;
  state.at = at;
  if (!state.queued || *state.queued > at) { queue(state_); }
}

void SimTimer::queue(const std::shared_ptr<State>& state) {
  state->queued = state->at;
  const auto wait = std::max(Duration(*state->at - time_of(state->process.machine())), Duration(0));
  state->process.post(wait, [weak = std::weak_ptr(state), mine = ++state->items] {
    const auto there = weak.lock();
    if (there && there->items == mine) { run(there); }
  });
}

void SimTimer::run(const std::shared_ptr<State>& state) {
  state->queued.reset();
  if (!state->at) { return; }
  if (*state->at > time_of(state->process.machine())) { return queue(state); }
  state->at.reset();
  state->due();
}

SimWire::SimWire(World& world, Owner owner, unsigned end)
    : world_(world), owner_(std::move(owner)), end_(end), decoder_(take_decoder()) {}

SimWire::~SimWire() { idle_decoders().push_back(std::move(decoder_)); }

SimWire::Both SimWire::connect(World& world, Owner sender, Owner receiver) {
  const Both both{std::make_shared<SimWire>(world, std::move(sender), 0),
                  std::make_shared<SimWire>(world, std::move(receiver), 1)};
  both.sender->peer_ = both.receiver;
  both.receiver->peer_ = both.sender;
  std::array<Stream::End, 2> ends;
  for (unsigned end = 0; end < 2; ++end) {
    auto& wire = end == 0 ? *both.sender : *both.receiver;
    ends[end].process = wire.owner_.process;
    ends[end].site = wire.owner_.site;
    ends[end].timeout_min = tcp_gives_up;
    ends[end].timeout_max = tcp_gives_up;
    ends[end].on_lost = [weak = wire.weak_from_this()] {
      if (const auto self = weak.lock()) { self->lost(); }
    };
  }
  both.sender->stream_ = both.receiver->stream_ = world.network.connect(std::move(ends[0]), std::move(ends[1]));
  return both;
}

void SimWire::write(std::vector<repl::EncodedFrame> batch) {
  if (closed_ || batch.empty()) { return; }
  if (tamper_) { tamper_->outgoing(batch); }
  auto bytes = std::make_shared<std::vector<std::byte>>();
  for (const auto& frame : batch) {
    bytes->insert(bytes->end(), frame.header.begin(), frame.header.end());
    bytes->insert(bytes->end(), frame.payload.begin(), frame.payload.end());
  }
  writing_ = true;
  std::size_t sent = 0;
  if (world_.replication_random.chance(0.1)) {
    sent = 1 + world_.replication_random.below(static_cast<unsigned>(bytes->size() - 1));
    send_piece(bytes, 0, sent);
    const auto self = shared_from_this();  // who dies here forgets us
    if (owner_.dies()) { closed_ = true; }
    if (closed_) { return; }
  }
  send_piece(bytes, sent, bytes->size());
}

void SimWire::send_piece(const std::shared_ptr<std::vector<std::byte>>& bytes, std::size_t from, std::size_t to) {
  const bool last = to == bytes->size();
  stream_->send(end_, [bytes, from, to, last, peer = peer_, weak = weak_from_this()] {
    if (const auto there = peer.lock()) { there->arrived(std::span(*bytes).subspan(from, to - from)); }
    if (!last) { return; }
    if (const auto self = weak.lock()) { self->written(); }
  });
}

/// The other kernel's daemon has read it, and this one's socket takes the next batch.
void SimWire::written() {
  const auto life = owner_.process->life();
  if (life == 0) { return; }
  const auto take_next = [weak = weak_from_this(), life] {
    const auto self = weak.lock();
    if (!self || self->closed_ || self->owner_.process->life() != life) { return; }
    self->writing_ = false;
    if (self->last_words_) { return self->close(); }
    const auto handlers = self->handlers_;
    handlers->on_written();
  };
  owner_.process->machine().run([process = owner_.process, life, take_next] {
    if (process->life() == life) { process->on_loop(take_next); }
  });
}

void SimWire::arrived(std::span<const std::byte> bytes) {
  if (closed_ || last_words_) { return; }
  const auto self = shared_from_this();
  last_received_ = time_of(owner_.process->machine());
  while (!bytes.empty() && !closed_) {
    const auto room = decoder_->prepare();
    const auto size = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), size);
    decoder_->commit(size);
    bytes = bytes.subspan(size);
    take_frames();
  }
  if (closed_ || last_words_) { return; }
  const auto handlers = handlers_;
  handlers->on_read_done();
  owner_.after_read();
}

void SimWire::take_frames() {
  while (!closed_ && !last_words_) {
    const auto next = decoder_->next();
    if (!next) { return fail(next.error().message); }
    if (!next.value()) { return; }
    if (!tamper_) {
      if (!take(*next.value())) { return; }
      continue;
    }
    for (const auto& forged : tamper_->incoming(*next.value())) {
      if (!take({forged.header, forged.payload})) { return; }
    }
  }
}

bool SimWire::take(const repl::Frame& frame) {
  const auto handlers = handlers_;
  const auto done = handlers->on_frame(frame);
  if (closed_) { return false; }
  if (!done) {
    fail(done.error().message);
    return false;
  }
  if (!owner_.dies()) { return !closed_; }
  closed_ = true;  // by its kernel
  return false;
}

void SimWire::take_late(const repl::Frame& frame) {
  const auto self = shared_from_this();
  if (closed_ || !take(frame)) { return; }
  const auto handlers = handlers_;
  handlers->on_read_done();
}

void SimWire::write_and_close(repl::EncodedFrame frame) {
  if (closed_) { return; }
  if (writing_) { return close(); }
  last_words_ = true;
  std::vector<repl::EncodedFrame> batch;
  batch.push_back(std::move(frame));
  write(std::move(batch));
}

void SimWire::close() {
  if (closed_) { return; }
  closed_ = true;
  if (decoder_->partial_bytes() > 0) { ++world_.exercised.torn; }
  stream_->close(end_);
}

void SimWire::lost() {
  if (closed_) { return; }
  if (decoder_->partial_bytes() > 0) { ++world_.exercised.torn; }
  closed_ = true;
  const auto handlers = handlers_;
  if (!last_words_ && handlers->on_closed) { handlers->on_closed(in_order); }
}

void SimWire::fail(const std::string& why) {
  if (closed_) { return; }
  close();
  const auto handlers = handlers_;
  if (!last_words_ && handlers->on_closed) { handlers->on_closed(why); }
}

}  // namespace understudy::sim
