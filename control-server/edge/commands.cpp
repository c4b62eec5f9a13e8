// SPDX-License-Identifier: Apache-2.0
#include "edge/commands.hpp"

namespace understudy::control {
namespace {

Error not_ours() {
  return failure("this control-server does not lead any more; understudy status tells who does", Errc::Expired);
}

Error not_written(const Error& why) {
  return failure(
      "nothing is done: no command is carried out that is not in the event log, and the event log cannot be "
      "written: " +
          why.message,
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
    if (!written) {
      const auto why = written.error().code == Errc::Expired ? not_ours() : not_written(written.error());
      refuse(order, why);
      return answer(why);
    }
    if (!leads_()) { return answer(not_ours()); }
    const auto may = order.check();  // the log may have taken its time
    if (!may) {
      refuse(order, may.error());
      return answer(may);
    }
    order.act();
    answer(leads_() ? may : not_ours());
  });
}

void Commands::refuse(const Order& order, const Error& why) {
  auto event = event_of(order);
  event.severity = link::Severity::Warning;
  event.text += "; not done: " + why.message;
  log_.add(std::move(event));
}

}  // namespace understudy::control
