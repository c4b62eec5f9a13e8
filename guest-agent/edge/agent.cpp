// SPDX-License-Identifier: Apache-2.0
#include "edge/agent.hpp"

#include <sys/reboot.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>

#include "understudy/common/log.hpp"
#include "understudy/shm/echo.hpp"

namespace understudy::guest {

namespace {
constexpr auto drain_quiet = std::chrono::milliseconds(5);
constexpr auto drain_limit = std::chrono::milliseconds(100);
constexpr auto marker_limit = std::chrono::milliseconds(30);  ///< below the host's own
constexpr auto install_pause = std::chrono::milliseconds(50);
constexpr auto memory_deadline = std::chrono::seconds(5);  ///< until the kernel has found its devices
constexpr auto refusals_again = std::chrono::seconds(10);
constexpr auto grace_time = std::chrono::seconds(2);

}  // namespace

Agent::Agent(boost::asio::io_context& io)
    : io_(io),
      channel_(io, [this](const link::guest::GuestOrder& order) { on_order(order); }),
      durable_("/run/understudy"),
      memory_(failure("not looked for yet")),
      settle_timer_(io),
      install_timer_(io),
      restart_timer_(io),
      restore_timer_(io) {}

Status Agent::start(const std::string& port_path, std::string boot_nonce) {
  memory_ = wait_for_region_memory(MemoryFinder(), memory_deadline);
  if (memory_) {
    if (auto usable = look_at_memory(); !usable) { memory_ = usable.error(); }
  }
  if (!memory_) { log::error("{}", memory_.error().message); }
  if (auto opened = channel_.open(port_path); !opened) { return opened; }
  boot_nonce_ = std::move(boot_nonce);
  if (auto mark = durable_.serving()) {
    log::info("taking up the service of {} under term {}", mark->mirror.spec.id.value, mark->term.value);
    mirror_ = std::move(mark->mirror);
    core_.adopt_serving(mark->term);
    restore();
  }
  say_hello();
  return {};
}

Status Agent::look_at_memory() {
  auto mapped = MappedMemory::open(*memory_);
  if (!mapped) { return mapped.error(); }
  // While it is mapped: the kernel tells the type of what is in use.
  if (auto ordered = refuse_write_combining(*memory_); !ordered) { return ordered; }
  load_speed_ = measure_loads(mapped->bytes());
  log::info("the region is {}, {} bytes, a load takes {:.1f} ns, from private memory {:.1f} ns", describe(*memory_),
            memory_->bytes, load_speed_->load_ns, load_speed_->private_ns);
  return {};
}

void Agent::answer_echo() {
  link::guest::Echoed answer;
  auto echo = memory_ ? shm::Echo::open(memory_->path, memory_->bytes) : Result<shm::Echo>(memory_.error());
  if (echo) {
    answer.heard = echo->hear(shm::Echo::Side::Host);
    answer.said = shm::Echo::make_nonce();
    echo->say(shm::Echo::Side::Guest, answer.said);
  } else {
    answer.problem = echo.error().message;
  }
  channel_.send(answer);
}

void Agent::say_hello() {
  using Wire = link::guest::Activity;
  link::guest::Hello hello;
  hello.boot_nonce = boot_nonce_;
  hello.instance = std::to_string(getpid());
  hello.version = UNDERSTUDY_VERSION;
  hello.bundle = mirror_.spec.version;
  if (memory_) { hello.memory = describe(*memory_); }
  if (load_speed_) {
    hello.load_ns = load_speed_->load_ns;
    hello.private_load_ns = load_speed_->private_ns;
  }
  switch (core_.activity()) {
    case Activity::Idle:
      hello.activity = Wire::Idle;
      break;
    case Activity::Configuring:
    case Activity::Mirroring:
      hello.activity = Wire::Mirroring;
      break;
    case Activity::Draining:
    case Activity::Installing:
    case Activity::HandingOver:
    case Activity::Starting:
      hello.activity = Wire::Activating;
      break;
    case Activity::Serving:
      hello.activity = Wire::Serving;
      break;
    case Activity::Quiescing:
      hello.activity = Wire::Quiescing;
      break;
    case Activity::Quiesced:
      hello.activity = Wire::Quiesced;
      break;
  }
  if (core_.activity() == Activity::Serving) { hello.term = core_.term(); }
  channel_.send(hello);
  for (const auto& [topic, text] : standing_) { channel_.send(link::guest::Alarm{text, topic}); }
}

void Agent::handle(const Event& event) {
  for (const auto& effect : core_.step(event)) {
    std::visit([this](const auto& concrete) { perform(concrete); }, effect);
  }
}

void Agent::on_order(const link::guest::GuestOrder& order) {
  namespace wire = link::guest;
  if (std::holds_alternative<wire::Identify>(order)) { say_hello(); }
  if (std::holds_alternative<wire::EchoOrder>(order)) { answer_echo(); }
  if (const auto* certify = std::get_if<wire::Certify>(&order)) { on_certify(*certify); }
  if (const auto* configure = std::get_if<wire::Configure>(&order)) { on_configure(*configure); }
  if (const auto* activate = std::get_if<wire::Activate>(&order)) { handle(ActivateOrder{activate->term}); }
  if (std::holds_alternative<wire::Announce>(order)) { handle(AnnounceOrder{}); }
  if (const auto* quiesce = std::get_if<wire::Quiesce>(&order)) {
    marker_ = quiesce->marker;
    handle(QuiesceOrder{});
  }
  if (std::holds_alternative<wire::Resume>(order)) {
    go_on();
    handle(ResumeOrder{});
  }
  if (const auto* allow = std::get_if<wire::AllowGrants>(&order)) { handle(AllowGrantsOrder{allow->term}); }
  if (const auto* stop = std::get_if<wire::StopGrants>(&order)) { handle(StopGrantsOrder{stop->term}); }
  if (std::holds_alternative<wire::Shutdown>(order)) { handle(ShutdownOrder{}); }
}

void Agent::alarm(const std::string& text, const std::string& topic) {
  if (text.empty() && standing_.erase(topic) == 0) { return; }
  if (!text.empty() && !topic.empty()) { standing_[topic] = text; }
  if (text.empty()) {
    log::info("over: {}", topic);
  } else {
    log::error("{}", text);
  }
  channel_.send(link::guest::Alarm{text, topic});
}

// --- effects ---

void Agent::perform(const Do& effect) {
  const auto began = std::chrono::steady_clock::now();
  const Step step = effect.step;
  Done done = [this, step, began](const Status& status) {
    const double ms = milliseconds(std::chrono::steady_clock::now() - began);
    boost::asio::post(io_, [this, step, status, ms] {
      if (status) {
        handle(StepDone{step, ms});
      } else {
        log::error("{}", log::describe(status.error()));
        handle(StepFailed{step, status.error().message});
      }
    });
  };
  switch (step) {
    case Step::Configure:
      configure(std::move(done));
      return;
    case Step::Drain:
      drain(std::move(done));
      return;
    case Step::Install:
      done(install());
      return;
    case Step::HandOver:
      // Remembered first: an agent that is restarted from here on takes the service up again.
      if (auto remembered = durable_.remember_serving(effect.term); !remembered) {
        done(remembered);
        return;
      }
      receiver_->release_writers();
      done(place_->begin_writing(effect.term));
      return;
    case Step::StartApplication:
      start_application(effect.term, std::move(done));
      return;
    case Step::Quiesce:
      quiesce_->begin(marker_, marker_limit, std::move(done));
      return;
    case Step::Resume:
      start_application(effect.term, std::move(done));
      return;
    case Step::BackToMirroring:
      durable_.forget_serving();
      place_->stop_writing();
      return;
    case Step::RestartApplication:
      restart_application(effect.term);
      return;
    case Step::Restore:  // begins by itself: restore()
      return;
  }
}

void Agent::perform(const TellPhase& effect) {
  using link::guest::GuestPhase;
  GuestPhase phase = GuestPhase::Failed;
  switch (effect.phase) {
    case link::MirrorPhase::Starting:
      phase = GuestPhase::Starting;
      break;
    case link::MirrorPhase::Connected:
      phase = GuestPhase::Connected;
      break;
    case link::MirrorPhase::Syncing:
      phase = GuestPhase::Syncing;
      break;
    case link::MirrorPhase::Synced:
      phase = GuestPhase::Synced;
      break;
    case link::MirrorPhase::Failed:
    case link::MirrorPhase::Stopped:
      break;
  }
  channel_.send(link::guest::State{phase, effect.detail, effect.whole_under});
}

void Agent::perform(const TellQuiesced& effect) {
  link::guest::Quiesced quiesced;
  quiesced.ms = effect.ms;
  quiesced.unmarked = quiesce_->unmarked();
  for (const auto& schema : place_->region().schema().stores) {
    if (auto store = place_->region().store(schema.name)) {
      quiesced.sequences.emplace_back(schema.name, store->committed());
    }
  }
  channel_.send(quiesced);
}

void Agent::perform(const Announce&) {
  place_->announce();
  channel_.send(link::guest::Announced{});
  settle_later();
}

void Agent::perform(const Grant& effect) {
  if (receiver_) { receiver_->grant(effect.term, effect.nonce); }
}

void Agent::perform(const PowerOff&) {
  const auto off = [](const Status&) {
    sync();
    reboot(RB_POWER_OFF);
  };
  if (place_) {
    place_->stop_application(off);
  } else {
    off({});
  }
}

// --- steps of an activation ---

void Agent::drain(Done done) {
  if (drained_) {  // by an earlier try of the activation: nothing can have come since
    done({});
    return;
  }
  receiver_->drain(drain_quiet, drain_limit, [this, done = std::move(done)](const auto& report) {
    if (!report.ready) {
      done(failure("the copy is unfinished: it must not take over"));
      return;
    }
    if (report.dropped_bytes != 0) { log::info("{} bytes of an unfinished frame dropped", report.dropped_bytes); }
    drained_ = true;
    done({});
  });
}

Status Agent::install() {
  if (auto flushed = installer_->flush(); !flushed) { return flushed; }
  tell_refusals();
  return {};
}

/// A record that the kernel does not take is a session that the takeover loses, however well the copy is synced.
void Agent::tell_refusals() {
  const auto& report = installer_->report();
  const auto now = std::chrono::steady_clock::now();
  const auto refused = report.refused - refusals_before_;
  if (refused == 0 || refused == refusals_told_) { return; }
  if (refusals_told_ != 0 && now - refusals_told_at_ < refusals_again) { return; }
  refusals_told_ = refused;
  refusals_told_at_ = now;
  alarm("the kernel refused " + std::to_string(refused) +
            " of the mirrored records, which a takeover would lose: " + report.first_refusal,
        "kernel");
}

void Agent::start_application(Term term, Done done) { place_->activate(term, std::move(done)); }

/// After a rollback: an end of the quiescing that comes late is nobody's.
void Agent::go_on() {
  if (quiesce_) { quiesce_->give_up(); }
}

void Agent::settle_later() {
  settle_timer_.expires_after(grace_time);
  settle_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) { return; }
    if (grace_) {
      if (auto ended = grace_->end(); !ended) { alarm("the grace period does not end: " + ended.error().message); }
      grace_.reset();
    }
    auto store = place_->region().store(net::net_store_name);
    if (!store) { return; }
    if (auto settled = installer_->settle(*store); !settled) {
      alarm("remaining times of flows: " + settled.error().message);
    }
  });
}

void Agent::on_applied(const std::string& store, std::span<const shm::JournalEntry> entries) {
  if (store != net::net_store_name || !installer_) { return; }
  for (const auto& entry : entries) {
    if (auto applied = installer_->apply(entry); !applied) { alarm("installing: " + applied.error().message); }
  }
  install_later();
}

/// Not at once: a short connection goes through six states in a few milliseconds, and only the last one matters. An
/// activation does not wait for this, it installs what is pending itself.
void Agent::install_later() {
  if (std::exchange(install_pending_, true)) { return; }
  install_timer_.expires_after(install_pause);
  install_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) { return; }
    install_pending_ = false;
    if (auto flushed = installer_->flush(); !flushed) { alarm("installing: " + flushed.error().message); }
    tell_refusals();
  });
}

}  // namespace understudy::guest
