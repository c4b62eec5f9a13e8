// SPDX-License-Identifier: Apache-2.0
#include "replication.hpp"

namespace understudy::sim {

namespace repl = link::replication;

namespace {
constexpr Duration drain_quiet = 5ms;
constexpr Duration drain_limit = 100ms;
}  // namespace

class Receiver::Edge final : public SimEdge<repl::ReceiverEdge>, public std::enable_shared_from_this<Edge> {
 public:
  Edge(World& world, unsigned role, const Host& host)
      : SimEdge(world, world.guests[role]->agent), role_(role), host_(host) {}
  unsigned active = 0;
  std::weak_ptr<repl::ReceiverCore> core;

  /// Where nothing passes nobody answers, and the core gives up by its own clock.
  void connect(Connected done) override {
    const unsigned here = world_.standby();
    auto& network = world_.network;
    const bool paths = network.passes(here, active) && network.passes(active, here);
    if (!paths || !world_.blades[active]->machine.runs()) { return; }
    process_.post(2 * network.latency(here, active),
                  [weak = weak_from_this(), mine = ++connecting_, done = std::move(done)] {
                    const auto self = weak.lock();
                    if (!self || self->connecting_ != mine) { return; }
                    ++self->connecting_;
                    const auto sender = self->host_.listens(self->active);
                    if (!sender) { return done(failure("nobody listens there")); }
                    done(self->wire_to(sender));
                  });
  }
  void stop_connecting() override { ++connecting_; }
  void post(std::function<void()> action) override { process_.post(0ns, std::move(action)); }
  [[nodiscard]] std::uint32_t random() override { return static_cast<std::uint32_t>(world_.replication_random.next()); }

 private:
  std::shared_ptr<repl::Wire> wire_to(const std::shared_ptr<SenderNode>& sender) {
    auto& theirs_process = world_.blades[active]->agent;
    SimWire::Owner theirs;
    theirs.process = &theirs_process;
    theirs.site = active;
    theirs.dies = [this, self = shared_from_this(), site = active] { return world_.dies(Daemon::Host, site); };
    theirs.after_read = [weak = std::weak_ptr(sender)] {
      if (const auto there = weak.lock()) { there->look(); }
    };
    SimWire::Owner ours;
    ours.process = &process_;
    ours.site = world_.standby();
    ours.dies = [this, self = shared_from_this()] { return world_.dies(Daemon::Guest, role_); };
    ours.after_read = [this, weak = weak_from_this()] {
      if (!weak.expired()) { look(); }
    };
    auto both = SimWire::connect(world_, std::move(theirs), std::move(ours));
    if (Tamper::plants(world_.settings.bug)) { plant(both.receiver); }
    // Its kernel has accepted; the daemon does when its loop comes to it.
    theirs_process.on_loop(
        [sender, wire = std::move(both.sender), copy = std::weak_ptr(world_.blades[world_.standby()]->regions[role_])] {
          sender->accept(wire, copy);
        });
    return std::move(both.receiver);
  }

  void look() {
    const auto& region = world_.blades[world_.standby()]->regions[role_];
    if (region) { world_.check_not_torn(role_, *region, "of its mirror"); }
  }

  void plant(const std::shared_ptr<SimWire>& wire) {
    wire->set_tamper(std::make_shared<Tamper>(
        world_, role_, [this, weak = std::weak_ptr(wire), self = weak_from_this()](Duration wait, Tamper::Whole frame) {
          if (self.expired()) { return; }
          process_.post(wait, [weak, frame = std::move(frame)] {
            if (const auto late = weak.lock()) { late->take_late({frame.header, frame.payload}); }
          });
        }));
  }

  const unsigned role_;
  const Host& host_;
  std::uint64_t connecting_ = 0;
};

Receiver::Receiver(World& world, unsigned role, Host host) : world_(world), role_(role), host_(std::move(host)) {}
Receiver::~Receiver() = default;

void Receiver::make_core() {
  const auto& region = world_.blades[world_.standby()]->regions[role_];
  if (core_ && region_ == region) { return; }
  forget();
  region_ = region;
  edge_ = std::make_shared<Edge>(world_, role_, host_);
  repl::ReceiverOptions options;
  options.role = world_.role_id(role_);
  repl::ReceiverCallbacks callbacks;
  callbacks.on_phase = [this](Phase phase, const std::string&) {
    if (phase == Phase::Synced) { world_.check_whole(role_, *region_, "of its mirror that is synced"); }
    host_.on_phase(phase);
  };
  callbacks.on_applied = [this](const std::string&, std::span<const shm::JournalEntry>) { host_.on_applied(); };
  callbacks.on_snapshot_end = [this](const std::string&, bool) { host_.on_full_snapshot(); };
  callbacks.on_grant_asked = [this](Term term, std::uint64_t nonce) { host_.on_ask(term, nonce); };
  core_ = std::make_shared<repl::ReceiverCore>(edge_, options, region_->file(), callbacks);
}

bool Receiver::configure(unsigned active, Term term, bool was_synced) {
  const auto& region = world_.blades[world_.standby()]->regions[role_];
  if (!region) { return false; }
  make_core();
  if (region->writer() <= term) { region->stop_writing(); }  // who served here has let go of its stores
  const auto goes_on = core_->prepare(term, active == active_, was_synced);
  if (!goes_on) { return false; }
  if (goes_on.value()) { return true; }
  active_ = edge_->active = active;
  const auto core = core_;
  core->begin(world_.blade_id(active).value);
  return true;
}

bool Receiver::holds_a_whole_copy() const { return core_ && core_->ready() && core_->phase() == Phase::Connecting; }

void Receiver::grant(Term term, std::uint64_t nonce) {
  if (const auto core = core_) { core->grant(term, nonce); }  // the daemon may die in there
}

void Receiver::drain(const std::function<void(bool)>& done) {
  if (!core_) {
    mine().post(0ns, [done] { done(false); });
    return;
  }
  const auto core = core_;
  core->drain(drain_quiet, drain_limit, [this, done](const repl::DrainReport& report) {
    done(report.ready || world_.has(Bug::ServeUnfinished));
  });
}

void Receiver::release_writers() {
  if (core_) { core_->release_writers(); }
}

void Receiver::forget() {
  if (core_) { core_->release_writers(); }
  core_.reset();
  edge_.reset();
  region_.reset();
}

}  // namespace understudy::sim
