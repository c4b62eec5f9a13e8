// SPDX-License-Identifier: Apache-2.0
#include "edge/power_orders.hpp"

#include <limits.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>

#include "edge/clock.hpp"
#include "edge/etcd_store.hpp"
#include "edge/store.hpp"
#include "understudy/common/log.hpp"
#include "understudy/link/say_why.hpp"

namespace understudy::control {
namespace {

std::string user_name(uid_t id) {
  std::array<char, 4096> memory{};
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(id, &entry, memory.data(), memory.size(), &found) == 0 && found != nullptr) { return entry.pw_name; }
  return "user " + std::to_string(id);
}

/// Why a power-off of this blade would leave a role unserved; empty: it would not.
std::string role_lost_by(const link::GroupStatus& group, const BladeId& blade) {
  for (const auto& role : group.roles) {
    const bool here = role.place.blade == blade;
    const bool needs_it = blade == role.sync.standby && role.state == "taking-over";
    if (needs_it || (here && role.state != "protected" && role.state != "lost" && role.state != "taking-over")) {
      return role.role.value + " is " + role.state + (here ? " at " + to_string(role.place) : "") +
             ", and nobody else could serve it";
    }
  }
  return "";
}

/// The event log while nobody decides: the daemon's own file, or etcd as long as no control-server leads.
Result<std::unique_ptr<StateStore>> open_log(const ServerConfig& config) {
  if (config.etcd) { return std::unique_ptr<StateStore>(std::make_unique<EtcdStore>(*config.etcd, Leadership{})); }
  auto store = Store::open(config.state_path);
  if (!store) { return store.error(); }
  return std::unique_ptr<StateStore>(std::move(store).value());
}

/// Open for as short as it can be: a daemon that starts meanwhile finds it taken.
Status write_event(const ServerConfig& config, link::EventRecord event) {
  const auto store = open_log(config);
  if (!store) { return store.error(); }
  const auto last = store.value()->last_event_id();
  if (!last) { return last.error(); }
  event.id = last.value() + 1;
  event.time_ns = wall_now_ns();
  return store.value()->append({event});
}

bool somebody_decides(const Error& error) { return error.code == Errc::Refused || error.code == Errc::Expired; }

Error ask_it_instead(const PowerOrder& order, const std::string& why) {
  return failure(why + "; it is asked by `understudy " + to_string(order) +
                     " --reason ...`, with --force also when its event log cannot be written",
                 Errc::Refused);
}

}  // namespace

std::string to_string(const PowerOrder& order) {
  return std::string("power ") + (order.on ? "on " : "off ") + order.blade.value + (order.force ? " by force" : "");
}

Result<std::string> check_power(const link::GroupStatus& group, const PowerOrder& order, bool has_driver) {
  const auto& name = order.blade.value;
  const bool known =
      std::any_of(group.blades.begin(), group.blades.end(), [&](const auto& one) { return one.blade == order.blade; });
  if (!known) { return failure("there is no blade \"" + name + "\" in this group", Errc::NotFound); }
  if (!has_driver) { return failure("the group's file has no [power]: nothing can switch " + name, Errc::Refused); }
  const auto lost = order.on ? "" : role_lost_by(group, order.blade);
  if (!order.force && !lost.empty()) { return failure(lost + "; --force does it all the same", Errc::Refused); }
  for (const auto& role : group.roles) {
    if (!order.on || order.force || role.state != "taking-over" || role.place.blade != order.blade) { continue; }
    return failure(role.role.value + " is being taken over from " + name + ", whose being off may be the proof; wait " +
                       "until it is served, or --force",
                   Errc::Refused);
  }
  return name + " is being powered " + (order.on ? "on" : "off") + "; `understudy events` tells what came of it";
}

link::EventRecord power_event(const PowerOrder& order, const Status& done) {
  link::EventRecord event;
  event.kind = "power";
  event.blade = order.blade;
  const std::string what = order.on ? "on" : "off";
  event.severity = done ? order.on ? link::Severity::Info : link::Severity::Warning : link::Severity::Alarm;
  event.text = done ? "powered " + what + " as ordered, confirmed"
                    : "not powered " + what + " as ordered: " + done.error().message;
  return event;
}

std::string who_is_here() {
  std::array<char, HOST_NAME_MAX + 1> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) { host = {'?'}; }
  std::string who = user_name(geteuid()) + " at " + host.data();
  constexpr std::uint32_t nobody_logged_in = UINT32_MAX;
  std::uint32_t login = nobody_logged_in;
  std::ifstream("/proc/self/loginuid") >> login;
  if (login != nobody_logged_in && login != geteuid()) { who += ", logged in as " + user_name(login); }
  return who;
}

Result<bool> power_by_hand(const ServerConfig& config, const PowerByHand& hand) {
  const auto driver = open_power(config);
  const auto& blades = config.group.blades;
  const auto& blade = hand.blade.value;
  const bool known = std::any_of(blades.begin(), blades.end(), [&](const auto& one) { return one.id == hand.blade; });
  if (!driver || !known || (hand.what != "off" && hand.what != "on" && hand.what != "status")) {
    return failure(!driver  ? "the file has no power driver"
                   : !known ? "there is no blade \"" + blade + "\""
                            : "\"" + hand.what + "\" is nothing that can be done",
                   Errc::BadInput);
  }
  if (hand.what == "status") { return driver->is_on(blade); }
  if (link::is_blank(hand.reason)) { return failure(link::kSayWhy, Errc::BadInput); }
  const PowerOrder order{hand.blade, hand.what == "on", false};
  link::EventRecord event;
  event.kind = "command";
  event.blade = hand.blade;
  event.text = hand.who + ": " + to_string(order) + " without a control-server" + ", because: " + hand.reason;
  const auto written = write_event(config, event);
  if (!written && somebody_decides(written.error())) { return ask_it_instead(order, written.error().message); }
  if (!written && !hand.unlogged) {
    return failure("nothing was done, since it cannot be written into the event log: " + written.error().message +
                   "; --unlogged does it all the same");
  }
  const auto done = order.on ? driver->on(blade) : driver->off(blade);
  const auto told = written ? write_event(config, power_event(order, done)) : Status{};
  if (!told) { log::warn("what came of it is not in the event log: {}", log::describe(told.error())); }
  if (!done) { return done.error(); }
  return driver->is_on(blade);
}

}  // namespace understudy::control
