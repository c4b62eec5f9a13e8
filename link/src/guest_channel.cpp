// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/guest_channel.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "understudy/common/printable.hpp"
#include "understudy/link/json_fields.hpp"
#include "understudy/link/spec_json.hpp"

namespace understudy::link::guest {
namespace {

namespace json = boost::json;

constexpr std::size_t most_stores = 8;
constexpr std::size_t most_phases = 64;
constexpr std::size_t most_ports = 64;
constexpr std::size_t port_bytes_max = 64;
constexpr std::size_t word_bytes_max = 64;
constexpr double ms_max = 1e12;
constexpr std::array activity_names{"idle", "mirroring", "activating", "serving", "quiescing", "quiesced"};
constexpr std::array phase_names{"starting", "connected", "syncing", "synced", "failed"};
constexpr std::array vote_names{"unknown", "up", "down"};

/// What a guest says goes to logs and to operators.
std::string plain(std::string text) { return printable(std::move(text), line_bytes_max); }
std::string said(JsonFields& fields, const char* key) { return plain(fields.string(key)); }

template <class Enum, std::size_t Count>
Enum read_enum(JsonFields& fields, const char* key, const std::array<const char*, Count>& names) {
  const std::string text = fields.string(key);
  for (std::size_t index = 0; index < Count; ++index) {
    if (text == names[index]) { return static_cast<Enum>(index); }
  }
  fields.problem(std::string(key) + " is \"" + plain(text.substr(0, 32)) + "\", which is none of its values");
  return Enum{};
}

template <class Enum, std::size_t Count>
const char* enum_name(Enum value, const std::array<const char*, Count>& names) {
  const auto index = static_cast<std::size_t>(value);
  return index < Count ? names[index] : "unknown";
}

std::string line(const json::object& object) { return json::serialize(object) + "\n"; }

/// A guest's JSON: shallow, and checked before anything is built from it.
Result<json::value> parse_line(std::string_view text) {
  if (text.size() > line_bytes_max) { return failure("a line is too long", Errc::BadInput); }
  json::parse_options options;
  options.max_depth = 16;
  json::error_code error;
  auto value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) { return failure("a line is not JSON: " + error.message(), Errc::BadInput); }
  if (!value.is_object()) { return failure("a line is not a JSON object", Errc::BadInput); }
  return value;
}

struct OrderWriter {
  json::object operator()(const Identify&) const { return {{"order", "identify"}}; }
  json::object operator()(const EchoOrder&) const { return {{"order", "echo"}}; }
  json::object operator()(const Configure& order) const {
    return {{"order", "configure"}, {"mirror", to_json(order.mirror)}, {"bfd_key", order.bfd_key}};
  }
  json::object operator()(const Certify& order) const {
    if (!order.credentials) { return {{"order", "certify"}, {"plain_text", true}}; }
    const auto& given = *order.credentials;
    return {{"order", "certify"},
            {"plain_text", false},
            {"ca", given.ca},
            {"certificate", given.certificate},
            {"key", given.key}};
  }
  json::object operator()(const Activate& order) const {
    return {{"order", "activate"}, {"term", order.term.value}, {"deadline_ms", order.deadline_ms}};
  }
  json::object operator()(const Announce&) const { return {{"order", "announce"}}; }
  json::object operator()(const Quiesce& order) const { return {{"order", "quiesce"}, {"marker", order.marker}}; }
  json::object operator()(const Resume&) const { return {{"order", "resume"}}; }
  json::object operator()(const Shutdown&) const { return {{"order", "shutdown"}}; }
  json::object operator()(const AllowGrants& order) const {
    return {{"order", "allow-grants"}, {"term", order.term.value}};
  }
  json::object operator()(const StopGrants& order) const {
    return {{"order", "stop-grants"}, {"term", order.term.value}};
  }
};

struct EventWriter {
  json::object operator()(const Hello& event) const {
    return {{"event", "hello"},           {"boot_nonce", event.boot_nonce},
            {"instance", event.instance}, {"version", event.version},
            {"bundle", event.bundle},     {"activity", to_string(event.activity)},
            {"term", event.term.value},   {"memory", event.memory},
            {"load_ns", event.load_ns},   {"private_load_ns", event.private_load_ns}};
  }
  json::object operator()(const Echoed& event) const {
    return {{"event", "echoed"}, {"heard", event.heard}, {"said", event.said}, {"problem", event.problem}};
  }
  json::object operator()(const State& event) const {
    return {{"event", "state"},
            {"phase", to_string(event.phase)},
            {"detail", event.detail},
            {"whole_under", event.whole_under.value}};
  }
  json::object operator()(const PeerSeen& event) const {
    return {{"event", "vote"}, {"vote", enum_name(event.vote, vote_names)}};
  }
  json::object operator()(const Ready& event) const {
    json::object phases;
    for (const auto& phase : event.phases) { phases[phase.phase] = phase.ms; }
    return {{"event", "ready"}, {"term", event.term.value}, {"phases", phases}};
  }
  json::object operator()(const ActivateFailed& event) const {
    return {{"event", "activate-failed"}, {"detail", event.detail}};
  }
  json::object operator()(const Announced&) const { return {{"event", "announced"}}; }
  json::object operator()(const Quiesced& event) const {
    json::object sequences;
    for (const auto& [store, sequence] : event.sequences) { sequences[store] = sequence.value; }
    json::array unmarked(event.unmarked.begin(), event.unmarked.end());
    return {{"event", "quiesced"}, {"sequences", sequences}, {"ms", event.ms}, {"unmarked", unmarked}};
  }
  json::object operator()(const QuiesceFailed& event) const {
    return {{"event", "quiesce-failed"}, {"detail", event.detail}};
  }
  json::object operator()(const GrantsStopped& event) const {
    return {{"event", "grants-stopped"}, {"term", event.term.value}};
  }
  json::object operator()(const Alarm& event) const {
    return {{"event", "alarm"}, {"text", event.text}, {"topic", event.topic}};
  }
};

const json::object& read_object(JsonFields& fields, const char* key, std::size_t most) {
  static const json::object none;
  const auto* found = fields.find(key);
  const auto* object = found == nullptr ? nullptr : found->if_object();
  if (object == nullptr || object->size() > most) {
    fields.problem(std::string(key) + " is not an object of at most " + std::to_string(most) + " members");
    return none;
  }
  return *object;
}

/// What is carried on to the control-server as it is. What would not be valid there would end the stream of the whole
/// blade, its other roles' with it.
bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= word_bytes_max && std::all_of(text.begin(), text.end(), [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '.' || letter == '_' || letter == '-';
  });
}

Hello read_hello(JsonFields& fields) {
  Hello event;
  event.boot_nonce = fields.string("boot_nonce");
  if (!is_word(event.boot_nonce)) { fields.problem("boot_nonce is not 1 to 64 letters, digits, '.', '_', '-'"); }
  event.instance = fields.string("instance");
  event.version = said(fields, "version");
  event.bundle = fields.string("bundle");
  event.activity = read_enum<Activity>(fields, "activity", activity_names);
  event.term.value = fields.number("term");
  event.memory = said(fields, "memory");
  event.load_ns = fields.real("load_ns");
  event.private_load_ns = fields.real("private_load_ns");
  if (event.instance.empty()) { fields.problem("a nonce is empty"); }
  return event;
}

Echoed read_echoed(JsonFields& fields) {
  Echoed event;
  event.heard = fields.number("heard");
  event.said = fields.number("said");
  event.problem = said(fields, "problem");
  return event;
}

Ready read_ready(JsonFields& fields) {
  Ready event;
  event.term.value = fields.number("term");
  for (const auto& member : read_object(fields, "phases", most_phases)) {
    const double ms = member.value().is_number() ? member.value().to_number<double>() : -1;
    if (!is_word(member.key()) || !(ms >= 0 && ms < ms_max)) { fields.problem("a phase is not a name and its ms"); }
    event.phases.push_back({member.key(), ms});
  }
  return event;
}

Quiesced read_quiesced(JsonFields& fields) {
  Quiesced event;
  for (const auto& member : read_object(fields, "sequences", most_stores)) {
    json::error_code error;
    const auto sequence = member.value().to_number<std::uint64_t>(error);
    if (error) { fields.problem("a sequence is not a natural number"); }
    event.sequences.emplace_back(member.key(), Sequence{error ? 0 : sequence});
  }
  event.ms = fields.real("ms");
  if (fields.find("unmarked") == nullptr) { return event; }  // an older guest, which waits for no marker
  for (const auto& port : fields.array("unmarked", most_ports)) {
    const auto* name = port.if_string();
    if (name == nullptr || name->size() > port_bytes_max) { fields.problem("a port is not a short string"); }
    if (name != nullptr) { event.unmarked.emplace_back(name->data(), name->size()); }
  }
  return event;
}

GuestEvent read_event(JsonFields& fields, const std::string& name) {
  if (name == "hello") { return read_hello(fields); }
  if (name == "echoed") { return read_echoed(fields); }
  if (name == "state") {
    const bool tells = fields.find("whole_under") != nullptr;  // an older guest does not: its copy counts as unfinished
    return State{read_enum<GuestPhase>(fields, "phase", phase_names), said(fields, "detail"),
                 tells ? Term{fields.number("whole_under")} : Term{}};
  }
  if (name == "vote") { return PeerSeen{read_enum<Vote>(fields, "vote", vote_names)}; }
  if (name == "ready") { return read_ready(fields); }
  if (name == "activate-failed") { return ActivateFailed{said(fields, "detail")}; }
  if (name == "announced") { return Announced{}; }
  if (name == "quiesced") { return read_quiesced(fields); }
  if (name == "quiesce-failed") { return QuiesceFailed{said(fields, "detail")}; }
  if (name == "grants-stopped") { return GrantsStopped{Term{fields.number("term")}}; }
  if (name == "alarm") {  // a guest-agent that is older than this host-agent knows of no topics
    return Alarm{said(fields, "text"), fields.find("topic") == nullptr ? std::string() : said(fields, "topic")};
  }
  fields.problem("\"" + plain(name.substr(0, 32)) + "\" is no event");
  return Alarm{};
}

}  // namespace

const char* to_string(GuestPhase phase) { return enum_name(phase, phase_names); }
const char* to_string(Activity activity) { return enum_name(activity, activity_names); }

std::string to_line(const GuestOrder& order) { return line(std::visit(OrderWriter{}, order)); }
std::string to_line(const GuestEvent& event) { return line(std::visit(EventWriter{}, event)); }

Result<GuestOrder> parse_order(std::string_view text) {
  auto value = parse_line(text);
  if (!value) { return value.error(); }
  JsonFields fields(*value, "order");
  const std::string name = fields.string("order");
  GuestOrder order = Shutdown{};
  if (name == "configure") {
    const auto* found = fields.find("mirror");
    auto mirror = found == nullptr ? Result<RunMirror>(failure("mirror is missing")) : run_mirror_from_json(*found);
    if (mirror) {
      order = Configure{*std::move(mirror), fields.string("bfd_key")};
    } else {
      fields.problem(mirror.error().message);
    }
  } else if (name == "certify") {
    Certify certify;
    if (!fields.boolean("plain_text")) {
      certify.credentials = {fields.string("ca"), fields.string("certificate"), fields.string("key")};
    }
    order = certify;
  } else if (name == "activate") {
    Activate activate;
    activate.term.value = fields.number("term");
    if (fields.find("deadline_ms") != nullptr) { activate.deadline_ms = fields.number32("deadline_ms"); }
    order = activate;
  } else if (name == "identify") {
    order = Identify{};
  } else if (name == "echo") {
    order = EchoOrder{};
  } else if (name == "announce") {
    order = Announce{};
  } else if (name == "quiesce") {
    order = Quiesce{fields.find("marker") == nullptr ? 0 : fields.number("marker")};
  } else if (name == "resume") {
    order = Resume{};
  } else if (name == "allow-grants") {
    order = AllowGrants{Term{fields.number("term")}};
  } else if (name == "stop-grants") {
    order = StopGrants{Term{fields.number("term")}};
  } else if (name != "shutdown") {
    fields.problem("\"" + name.substr(0, 32) + "\" is no order");
  }
  if (auto done = fields.finish(); !done) { return done.error(); }
  return order;
}

Result<GuestEvent> parse_event(std::string_view text) {
  auto value = parse_line(text);
  if (!value) { return value.error(); }
  JsonFields fields(*value, "event");
  auto event = read_event(fields, fields.string("event"));
  if (auto done = fields.finish(); !done) { return done.error(); }
  return event;
}

}  // namespace understudy::link::guest
