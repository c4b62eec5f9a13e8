// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Both ends' state machines without sockets, threads and clock: any byte may be the last that arrives, and a second of
/// silence takes no time. A mirror may have a clock of its own, and stand still in a long piece of work while its
/// active goes on.

#include <gtest/gtest.h>

#include <algorithm>

#include "replication_bench.hpp"
#include "replication_mirror_link.hpp"
#include "replication_receiver_core.hpp"

namespace understudy::link::replication {

inline constexpr Term term{1};

inline shm::RegionSchema small_stores() {
  return {{{"net", {{"flows", 8, 24, 40}, {"routes", 12, 5, 40}}, journal_bytes},
           {"sessions", {{"sessions", 16, 100, 40}}, journal_bytes}}};
}

/// Time passes when somebody says so.
class Clockwork {
 public:
  class ManualTimer final : public Timer {
   public:
    ManualTimer(Clockwork& clock, std::function<void()> due) : clock_(clock), due_(std::move(due)) {
      clock_.timers_.push_back(this);
    }
    ~ManualTimer() override { std::erase(clock_.timers_, this); }
    ManualTimer(const ManualTimer&) = delete;
    ManualTimer& operator=(const ManualTimer&) = delete;
    void set(Time at) override { at_ = at; }
    void cancel() override { at_.reset(); }

   private:
    friend class Clockwork;
    Clockwork& clock_;
    std::function<void()> due_;
    std::optional<Time> at_;
  };

  Time now{std::chrono::hours(1)};
  Duration each_look{};  ///< passes whenever it is looked at, as where there is much to do
  /// Runs the next timer that is due by then; false: none is.
  bool run_one(Time until) {
    ManualTimer* next = nullptr;
    for (auto* timer : timers_) {
      if (timer->at_ && *timer->at_ <= until && (next == nullptr || *timer->at_ < *next->at_)) { next = timer; }
    }
    if (next == nullptr) { return false; }
    now = std::max(now, *next->at_);
    next->at_.reset();
    const auto due = next->due_;
    due();
    return true;
  }

 private:
  std::vector<ManualTimer*> timers_;
};

class MemoryWire final : public Wire {
 public:
  explicit MemoryWire(Clockwork& clock) : clock_(clock) {}
  void set_handlers(Handlers handlers) override { handlers_ = std::make_shared<const Handlers>(std::move(handlers)); }
  void start() override { last_received_ = clock_.now; }
  [[nodiscard]] bool writing() const override { return !out_.empty(); }
  void write(std::vector<EncodedFrame> batch) override {
    for (const auto& frame : batch) {
      out_.insert(out_.end(), frame.header.begin(), frame.header.end());
      out_.insert(out_.end(), frame.payload.begin(), frame.payload.end());
    }
  }
  void say_now(EncodedFrame frame) override {
    auto said = std::move(frame.header);
    said.insert(said.end(), frame.payload.begin(), frame.payload.end());
    on_said(said);
  }
  [[nodiscard]] std::vector<std::byte> spare() override { return {}; }
  void write_and_close(EncodedFrame /*frame*/) override { close(); }
  void close() override { closed_ = true; }
  [[nodiscard]] Time last_received() const override { return last_received_; }
  void forgive_silence() override { last_received_ = clock_.now; }
  [[nodiscard]] std::size_t waiting_bytes() const override { return waiting; }
  [[nodiscard]] std::size_t partial_bytes() const override { return decoder_.partial_bytes(); }

  /// What was written, and that it was.
  std::vector<std::byte> take() {
    auto bytes = std::exchange(out_, {});
    const auto handlers = handlers_;
    if (!bytes.empty() && !closed_) { handlers->on_written(); }
    return bytes;
  }
  void arrive(std::span<const std::byte> bytes) {
    if (closed_) { return; }
    last_received_ = clock_.now;
    const auto room = decoder_.prepare();
    std::ranges::copy(bytes, room.begin());
    decoder_.commit(bytes.size());
    while (!closed_) {
      const auto next = decoder_.next();
      ASSERT_TRUE(next.ok()) << next.error().message;
      if (!next.value()) { break; }
      const auto handlers = handlers_;
      const auto done = handlers->on_frame(*next.value());
      ASSERT_TRUE(done.ok()) << done.error().message;
    }
    const auto handlers = handlers_;
    if (!closed_) { handlers->on_read_done(); }
  }
  void cut() {
    if (std::exchange(closed_, true)) { return; }
    const auto handlers = handlers_;
    handlers->on_closed("cut");
  }
  [[nodiscard]] bool closed() const { return closed_; }
  std::size_t waiting = 0;  ///< bytes that came and were not read yet
  std::function<void(const std::vector<std::byte>&)> on_said = [](const std::vector<std::byte>&) {};

 private:
  Clockwork& clock_;
  std::shared_ptr<const Handlers> handlers_;
  FrameDecoder decoder_;
  std::vector<std::byte> out_;
  Time last_received_;
  bool closed_ = false;
};

template <class Base>
class ManualEdge : public Base {
 public:
  explicit ManualEdge(Clockwork& of) : clock(of) {}
  [[nodiscard]] Time now() const override { return clock.now += clock.each_look; }
  [[nodiscard]] std::unique_ptr<Timer> make_timer(std::function<void()> due) override {
    return std::make_unique<Clockwork::ManualTimer>(clock, std::move(due));
  }
  void tell(Edge::Level /*level*/, const std::string& /*what*/) override {}
  void tell(const Error& error) override { ADD_FAILURE() << error.message; }
  Clockwork& clock;
};

class ActiveEdge final : public ManualEdge<SenderEdge> {
 public:
  using ManualEdge::ManualEdge;
  [[nodiscard]] std::unique_ptr<Scan> scan(shm::Store, Sequence, std::size_t) override { return nullptr; }
};

class MirrorEdge final : public ManualEdge<ReceiverEdge> {
 public:
  using ManualEdge::ManualEdge;
  void connect(Connected done) override { asked = std::move(done); }
  void stop_connecting() override { asked = nullptr; }
  void post(std::function<void()> action) override { action(); }
  [[nodiscard]] std::uint32_t random() override { return 0; }
  Connected asked;
};

class ReplicationCores : public testing::Test {
 protected:
  explicit ReplicationCores(const shm::RegionSchema& schema = small_stores()) : active(schema) {}
  void SetUp() override {
    for (unsigned i = 0; i < 12; ++i) {
      put(net, i % 5, i);
      remember();
    }
    erase(net, 3);
    remember();
    ASSERT_TRUE(net.begin().ok());
    for (unsigned i = 0; i < 4; ++i) { put(net, 20 + i, i, 1); }
    ASSERT_TRUE(net.commit().ok());
    remember();
    put(sessions, 1, 1);
  }
  void remember() { contents[net.committed()] = content_of(active.store()); }

  struct Mirror {
    explicit Mirror(Clockwork& clock, const shm::RegionSchema& schema = small_stores())
        : region(schema), edge(std::make_shared<MirrorEdge>(clock)) {
      ReceiverOptions options;
      options.role = role;
      core = std::make_shared<ReceiverCore>(edge, options, region.open(), ReceiverCallbacks{});
      EXPECT_TRUE(core->prepare(term, false, false).ok());
      core->begin("the active");
    }
    TestRegion region;
    std::shared_ptr<MirrorEdge> edge;
    std::shared_ptr<ReceiverCore> core;
  };

  /// The mirror connects, says Hello, and is accepted.
  void connect(Mirror& mirror) {
    ASSERT_TRUE(mirror.edge->asked);
    theirs = std::make_shared<MemoryWire>(mirror.edge->clock);
    ours = std::make_shared<MemoryWire>(clock);
    SendingOptions options;
    options.role = role;
    options.term = term;
    Wire::Handlers first;
    first.on_frame = [this, options](const Frame& frame) {
      const auto hello = decode_hello(frame.payload).value();
      EXPECT_FALSE(refusal_of(options, stores(), frame.header, hello));
      link = std::make_shared<MirrorLink>(std::make_shared<ActiveEdge>(clock), options, stores(), counters, ours);
      link->start(hello, {[this](SenderPhase phase, const std::string&) { phases.push_back(phase); },
                          [this](const std::string&) { phases.push_back(SenderPhase::NoMirror); }});
      return Status{};
    };
    first.on_closed = [](const std::string&) {};
    ours->set_handlers(std::move(first));
    std::exchange(mirror.edge->asked, nullptr)(std::shared_ptr<Wire>(theirs));
  }
  /// Both ways until nothing is under way, or so many bytes have reached the mirror: then the wire breaks.
  std::size_t pass(std::size_t bytes_max) {
    std::size_t passed = 0;
    for (bool more = true; more;) {
      auto out = ours->take();
      const bool breaks = passed + out.size() > bytes_max;
      out.resize(std::min(out.size(), bytes_max - passed));
      passed += out.size();
      if (!out.empty()) { theirs->arrive(out); }
      if (breaks) {
        ours->cut();
        theirs->cut();
        return passed;
      }
      const auto back = theirs->take();
      if (!back.empty()) { ours->arrive(back); }
      more = !out.empty() || !back.empty();
    }
    return passed;
  }
  [[nodiscard]] std::vector<shm::Store> stores() const { return {active.store(), active.store("sessions")}; }

  Clockwork clock;
  TestRegion active;
  shm::StoreWriter net = active.writer(term.value);
  shm::StoreWriter sessions = active.writer(term.value, "sessions");
  std::map<Sequence, Content> contents{{Sequence{0}, Content{}}};
  std::vector<StoreCounters> counters{2};
  std::shared_ptr<MirrorLink> link;
  std::vector<SenderPhase> phases;
  std::shared_ptr<MemoryWire> ours;
  std::shared_ptr<MemoryWire> theirs;
};

}  // namespace understudy::link::replication
