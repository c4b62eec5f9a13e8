// SPDX-License-Identifier: Apache-2.0
#include "edge/commands.hpp"

namespace understudy::control {
namespace {

Error not_ours() {
  return failure(
      "this control-server does not lead any more; understudy status tells who does. While nobody "
      "does, power is switched by understudy-control-server --power (docs/FENCING.md)",
      Errc::Expired);
}

Error nobody_waits() {
  return failure("who ordered it does not wait for the answer any more: it was told that it failed", Errc::Refused);
}

Error not_written(const Error& why, bool can_be_forced) {
  return failure(
      "nothing is done: no command is carried out that is not in the event log, and the event log cannot be "
      "written: " +
          why.message + (can_be_forced ? "; --force does it all the same" : ""),
      Errc::Refused);
}

link::EventRecord event_of(const Commands::Order& order) {
  const auto& command = order.command;
  link::EventRecord event;
  event.kind = "command";
  event.role = order.role;
  event.text =
      command.who + ": " + order.what + (command.reason.empty() ? ", no reason given" : ", because: " + command.reason);
  return event;
}

}  // namespace

void Commands::carry_out(Order order, const link::CommandAnswer& answer) {
  if (!leads_()) { return answer(not_ours()); }
  if (const auto may = order.check(); !may) {
    order.role = {};  // maybe there is no such one
    refuse(order, may.error());
    return answer(may);
  }
  auto event = event_of(order);
  log_.write(std::move(event), [this, order = std::move(order), answer](const Status& written) {
    if (!written && (order.unlogged != Order::Unlogged::Now || written.error().code == Errc::Expired)) {
      const auto why = written.error().code == Errc::Expired
                           ? not_ours()
                           : not_written(written.error(), order.unlogged == Order::Unlogged::IfForced);
      refuse(order, why);
      return answer(why);
    }
    act(order, written, answer);
  });
}

/// The log may have taken its time: all is looked at again.
void Commands::act(const Order& order, const Status& written, const link::CommandAnswer& answer) {
  if (!leads_()) { return answer(not_ours()); }
  auto may = order.check();
  if (may && order.command.is_gone && order.command.is_gone()) { may = nobody_waits(); }
  if (!may) {
    refuse(order, may.error());
    return answer(may);
  }
  if (!written) {
    auto event = event_of(order);
    event.severity = link::Severity::Alarm;
    event.text += "; done although the event log could not be written then: " + written.error().message;
    log_.add(std::move(event));
    log_.flush();
  }
  order.act();
  if (!leads_()) { return answer(not_ours()); }
  if (written) { return answer(may); }
  answer(may.value() + "; the event log cannot be written (" + written.error().message +
         "): this waits in the control-server's memory, and is in its own log (journalctl)");
}

void Commands::refuse(const Order& order, const Error& why) {
  auto event = event_of(order);
  event.severity = link::Severity::Warning;
  event.text += "; not done: " + why.message;
  log_.add(std::move(event));
}

}  // namespace understudy::control
