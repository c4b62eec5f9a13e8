// SPDX-License-Identifier: Apache-2.0
#include "control_check.hpp"

#include "support/sample_mirror.hpp"
#include "understudy/link/guest_channel.hpp"
#include "unit/link/control_api_test_data.hpp"

namespace understudy::link::fuzz {
namespace {

/// Sent and read again.
template <class Wire, class Plain>
auto carried(const Plain& plain) -> decltype(from_proto(Wire())) {
  Wire wire;
  if (!wire.ParseFromString(to_proto(plain).SerializeAsString())) { return failure("what was sent is no message"); }
  return from_proto(wire);
}

/// Texts may lose strange letters on their first way; then nothing changes any more.
template <class Wire>
Found check_message(std::string_view bytes) {
  Wire wire;
  if (!wire.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) { return {}; }
  const auto plain = from_proto(wire);
  if (!plain) { return {true, false, plain.error().message.empty() ? "an error that says nothing" : ""}; }
  const auto once = carried<Wire>(*plain);
  if (!once) { return {true, true, "what was valid is refused when it is sent on: " + once.error().message}; }
  const auto twice = carried<Wire>(*once);
  if (!twice || *twice != *once) { return {true, true, "what was sent on changes again: " + wire.ShortDebugString()}; }
  if (to_proto(*once).SerializeAsString() != to_proto(*plain).SerializeAsString()) {
    return {true, true, "what was read is not what was sent: " + wire.ShortDebugString()};
  }
  return {true, true, ""};
}

/// The reports that carry a guest's own words, as the host-agent's core makes them.
std::vector<Report> reports_of(const guest::GuestEvent& event) {
  const RoleId role{"role-1"};
  if (const auto* hello = std::get_if<guest::Hello>(&event)) {
    return {MirrorState{role, Term{1}, MirrorPhase::Connected, hello->boot_nonce, "", false},
            MirrorWarning{role, Term{1}, hello->memory}};
  }
  if (const auto* ready = std::get_if<guest::Ready>(&event)) { return {Activated{role, Term{1}, ready->phases}}; }
  if (const auto* state = std::get_if<guest::State>(&event)) {
    return {MirrorState{role, Term{1}, MirrorPhase::Failed, "nonce", state->detail, true}};
  }
  if (const auto* failed = std::get_if<guest::ActivateFailed>(&event)) {
    return {ActivateFailed{role, Term{1}, failed->detail}};
  }
  if (const auto* said = std::get_if<guest::Alarm>(&event)) { return {RoleAlarm{role, Term{1}, "", said->text}}; }
  return {};
}

Found check_line(std::string_view line) {
  const auto event = guest::parse_event(line);
  if (!event) { return {true, false, event.error().message.empty() ? "an error that says nothing" : ""}; }
  for (const auto& report : reports_of(*event)) {
    const auto told = carried<pb::Report>(report);
    if (!told) { return {true, true, "a guest's words end the blade's stream: " + told.error().message}; }
  }
  return {true, true, ""};
}

}  // namespace

Found check(What what, std::string_view bytes) {
  switch (what) {
    case What::Order:
      return check_message<pb::Order>(bytes);
    case What::Report:
      return check_message<pb::Report>(bytes);
    case What::Status:
      return check_message<pb::GroupStatus>(bytes);
    case What::Event:
      return check_message<pb::Event>(bytes);
    case What::GuestLine:
      return check_line(bytes);
  }
  return {};
}

std::unique_ptr<google::protobuf::Message> message_of(What what) {
  switch (what) {
    case What::Order:
      return std::make_unique<pb::Order>();
    case What::Report:
      return std::make_unique<pb::Report>();
    case What::Status:
      return std::make_unique<pb::GroupStatus>();
    case What::Event:
      return std::make_unique<pb::Event>();
    case What::GuestLine:
      break;
  }
  return nullptr;
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  for (const auto& order : test::every_order()) { all.push_back({What::Order, to_proto(order).SerializeAsString()}); }
  for (const auto& report : test::every_report()) {
    all.push_back({What::Report, to_proto(report).SerializeAsString()});
  }
  all.push_back({What::Status, to_proto(test::status()).SerializeAsString()});
  all.push_back({What::Event, to_proto(EventRecord{7, 1, Severity::Alarm, "phase", RoleId{"role-1"}, BladeId{"blade-1"},
                                                   "isolate", 2.5, "read back"})
                                  .SerializeAsString()});
  for (const guest::GuestEvent& event :
       {guest::GuestEvent{guest::Hello{"nonce", "first", "1", "v", {}, {}, "memory", 1, 1}},
        guest::GuestEvent{guest::Ready{Term{1}, {{"drain", 1.5}}}},
        guest::GuestEvent{guest::State{guest::GuestPhase::Failed, "why", {}}},
        guest::GuestEvent{guest::Alarm{"slow", "topic"}}}) {
    all.push_back({What::GuestLine, guest::to_line(event)});
  }
  return all;
}

}  // namespace understudy::link::fuzz
