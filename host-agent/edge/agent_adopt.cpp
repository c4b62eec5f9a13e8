// SPDX-License-Identifier: Apache-2.0
// The agent after a restart (D13): what a former daemon served and ran goes on meanwhile and is ours again (see
// agent.hpp). Gates are the kernel's, guests and applications are processes of their own, regions are files.
#include <boost/asio/post.hpp>
#include <filesystem>

#include "edge/agent.hpp"
#include "edge/held_file.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"
#include "understudy/net/nft.hpp"

namespace understudy::host {

namespace {
constexpr auto monitor_deadline = std::chrono::seconds(5);
constexpr auto monitor_poll = std::chrono::milliseconds(5);
constexpr auto kill_deadline = std::chrono::seconds(5);

/// In one transaction, also when there is none: an interface that became an uplink must not be gated twice.
Status remove_host_gate() {
  auto nft = net::Nft::open();
  if (!nft) { return nft.error(); }
  return nft->run("add table netdev understudy_gate\ndelete table netdev understudy_gate\n");
}
}  // namespace

Status Agent::take_network_up() {
  const auto standby = network_.is_there();
  if (!standby) { return standby.error(); }
  if (*standby) {
    if (auto ready = network_.ensure(); !ready) { return ready; }
    return remove_host_gate();
  }
  std::vector<std::string> interfaces;
  for (const auto& [network, interface] : config_.networks) { interfaces.push_back(interface); }
  auto gate = net::HostGate::attach(interfaces);
  if (!gate) { return gate.error(); }
  host_gate_.emplace(std::move(gate).value());
  return {};
}

void Agent::adopt_roles() {
  const auto found = read_held(config_.run_dir, boot_id_);
  for (const auto& problem : found.problems) {
    log::error("what a former host-agent wrote down is lost, its role is left as it is: {}", problem);
  }
  for (const auto& left : found.given_up) { blade_.adopt(left); }
  for (const auto& record : found.records) {
    const auto findings = look_at(record);
    log::info("{}: adopting what a former host-agent left {} under term {}", record.spec.id.value,
              to_string(record.stage), record.term.value);
    for (const auto& effect : blade_.adopt(boot_now(), record, findings)) { perform(effect); }
  }
  arm_timer();
}

/// A gate of a role of which nothing is known any more (its record is lost) would speak beside the next place: that
/// this blade holds nothing is stop-evidence at the control-server. Closed before anything is said there.
Status Agent::close_unclaimed_gates() {
  std::set<std::string> claimed;
  for (const auto& [role, held] : blade_.roles()) {
    for (const auto& [port, interface] : place_options(held.spec, false).ports) { claimed.insert(interface); }
    for (const auto& port : moved_gate_ports(held.spec)) { claimed.insert(port); }
    for (const auto& port : held.spec.ports) { claimed.insert(mirror_tap_name(held.spec, port.name)); }
  }
  if (host_gate_) {
    if (auto closed = close_all_but(*host_gate_, claimed); !closed) { return closed; }
  }
  return network_.is_ready() ? close_all_but(network_.gate(), claimed) : Status{};
}

Status Agent::close_all_but(net::Gate& gate, const std::set<std::string>& claimed) {
  const auto open = gate.open_ports();
  if (!open) { return open.error(); }
  for (const auto& port : *open) {
    if (claimed.contains(port)) { continue; }
    log::error("the gate of {} was open, and nothing is known of a role behind it: it is closed", port);
    if (auto closed = gate.close(port); !closed) { return closed; }
  }
  return {};
}

HostFindings Agent::look_at(const HeldRecord& record) {
  HostFindings found;
  if (record.stage == RoleStage::ServingHost || record.stage == RoleStage::HandingOver) {
    auto gate = gate_of(record.spec, record.moved);
    found.gate_open = gate.ok();
    for (std::size_t i = 0; found.gate_open && i < gate->ports.size(); ++i) {
      const auto open = gate->gate->is_open(gate->ports[i]);
      found.gate_open = open.ok() && *open;
    }
  }
  if (record.stage == RoleStage::Moving) {
    const auto committed = MovementUnit::read_commit(config_, record.spec.id);
    found.committed = committed.ok() && *committed == record.move_term;
  }
  return found;
}

void Agent::adopt_host(const RoleId& role, Term term) {
  const auto done = answer(role, Step::AdoptHost);
  const auto& spec = specs_.at(role);
  const bool moved = blade_.roles().at(role).moved;
  served_.erase(role);
  // Not configured again: addresses, rules and routes are there, and connections run through them.
  auto place = std::make_unique<place::RolePlace>(io_, spec, place_options(spec, moved), place_callbacks(role));
  auto& served = *(served_[role] = std::make_unique<ServedRole>(std::move(place)));
  if (auto opened = served.place().open_region(); !opened) {
    done(opened);
    return;
  }
  if (auto writing = served.place().begin_writing(term); !writing) {
    done(writing);
    return;
  }
  if (!moved) { let_mirror_follow(role, term); }
  served.place().start_application([this, role, term, done](const Status& ready) {
    if (!ready) {
      done(ready);
      return;
    }
    served_.at(role)->place().activate(term, done);
  });
}

void Agent::stop_application(const RoleId& role) {
  const auto stop = [this, role](bool only_to_stop) {
    served_.at(role)->place().stop_application([this, role, only_to_stop](const Status& stopped) {
      if (!stopped) { log::warn("the application did not stop: {}", log::describe(stopped.error())); }
      if (only_to_stop) {
        boost::asio::post(io_, [this, role] { served_.erase(role); });
      }
    });
  };
  if (served_.contains(role)) {
    stop(false);
    return;
  }
  if (!std::filesystem::exists(config_.run_dir + "/" + role.value + ".pid")) { return; }
  // Of a former daemon: found by its pid file, then stopped.
  const auto& held = blade_.roles().at(role);
  place::RolePlaceCallbacks quiet;
  quiet.on_application_exit = [](const std::string&) {};
  quiet.on_alarm = [this, role](const std::string& text, const std::string& topic) { alarm(role, topic, text); };
  served_[role] = std::make_unique<ServedRole>(
      std::make_unique<place::RolePlace>(io_, held.spec, place_options(held.spec, held.moved), std::move(quiet)));
  served_.at(role)->place().start_application([stop](const Status&) { stop(true); });
}

void Agent::adopt_guest(const RoleId& role) {
  const auto done = answer(role, Step::AdoptGuest);
  auto& mirror = mirrors_[role];
  mirror =
      std::make_unique<MirrorPlace>(io_, config_, network_, regions_, mirror_orders_.at(role), guest_callbacks(role));
  if (auto adopted = mirror->adopt(); !adopted) {
    done(adopted);
    return;
  }
  auto timer = std::make_shared<boost::asio::steady_timer>(io_);
  const auto until = std::chrono::steady_clock::now() + monitor_deadline;
  auto look = std::make_shared<std::function<void()>>();
  // The guest goes on either way; but what follows (thaw, shut down) needs its monitor.
  *look = [this, role, done, timer, until, weak = std::weak_ptr(look)] {
    const auto found = mirrors_.find(role);
    const bool there = found != mirrors_.end() && found->second->has_guest();
    if (!there || found->second->guest().qmp().ready() || std::chrono::steady_clock::now() > until) {
      done({});
      return;
    }
    timer->expires_after(monitor_poll);
    timer->async_wait([again = weak.lock()](const boost::system::error_code& error) {
      if (!error && again) { (*again)(); }
    });
  };
  (*look)();
}

void Agent::stop_guest(const RoleId& role) {
  const auto found = mirrors_.find(role);
  if (found == mirrors_.end() || !found->second->has_guest()) { return; }
  const auto done = answer(role, Step::StopGuest);
  found->second->guest().kill(kill_deadline, [done](const Status& killed) {
    if (!killed) { done(killed); }  // its exit is what the core hears of otherwise
  });
}

}  // namespace understudy::host
