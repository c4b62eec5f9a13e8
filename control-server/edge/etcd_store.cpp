// SPDX-License-Identifier: Apache-2.0
#include "edge/etcd_store.hpp"

#include "edge/clock.hpp"
#include "edge/etcd_values.hpp"
#include "understudy/link/json_fields.hpp"

namespace understudy::control {

namespace json = boost::json;

namespace {

constexpr std::size_t kBatchesAtOnce = 64;
constexpr std::uint64_t kTrimEvery = 500;

std::string event_key(const EtcdSettings& settings, std::uint64_t id) {
  auto digits = std::to_string(id);
  return settings.at("event/" + std::string(20 - digits.size(), '0') + digits);
}

json::object to_json(const link::EventRecord& event) {
  return {{"id", event.id},       {"time_ns", event.time_ns}, {"severity", static_cast<unsigned>(event.severity)},
          {"kind", event.kind},   {"role", event.role.value}, {"blade", event.blade.value},
          {"phase", event.phase}, {"ms", event.ms},           {"text", event.text}};
}

Result<link::EventRecord> event_from_json(const json::value& value) {
  link::JsonFields fields(value, "an event in etcd");
  link::EventRecord event;
  event.id = fields.number("id");
  event.time_ns = static_cast<std::int64_t>(fields.number("time_ns"));
  event.severity = static_cast<link::Severity>(fields.number("severity", 2));
  event.kind = fields.string("kind");
  event.role = RoleId{fields.string("role")};
  event.blade = BladeId{fields.string("blade")};
  event.phase = fields.string("phase");
  event.text = fields.string("text");
  const auto* ms = fields.find("ms");
  if (ms != nullptr && ms->is_number()) { event.ms = ms->to_number<double>(); }
  if (auto done = fields.finish(); !done) { return failure(done.error().message, Errc::Damaged); }
  return event;
}

}  // namespace

EtcdStore::EtcdStore(EtcdSettings settings, Leadership leadership)
    : etcd_(std::move(settings)), leadership_(std::move(leadership)) {}

json::object EtcdStore::we_lead() const {
  return etcd::equals(etcd_.settings().at("who/leader"), "CREATE", static_cast<std::int64_t>(leadership_.token));
}

Result<StoredOwnership> EtcdStore::read(const std::string& key, const std::string& value, std::int64_t revision) const {
  boost::system::error_code wrong;
  const auto parsed = json::parse(value, wrong);
  link::JsonFields fields(parsed, "etcd's key " + key);
  StoredOwnership stored;
  stored.revision = revision;
  stored.token = fields.number("leader");
  auto& own = stored.ownership;
  own.role = RoleId{key.substr(etcd_.settings().at("owner/").size())};
  own.term = Term{fields.number("term")};
  own.place = {BladeId{fields.string("blade")}, static_cast<PlaceKind>(fields.number("kind", 1))};
  own.evidence = static_cast<link::StopEvidence>(
      fields.number("evidence", static_cast<std::uint64_t>(link::StopEvidence::LeaseRanOut)));
  own.reserved = Term{fields.number("reserved")};
  own.leased = fields.boolean("leased");
  if (auto done = fields.finish(); !done) {
    return failure(done.error().message + ": the state store is damaged", Errc::Damaged);
  }
  return stored;
}

Result<std::vector<Ownership>> EtcdStore::ownerships() {
  const auto answer = etcd_.call("kv/range", etcd::range_all(etcd_.settings().at("owner/")));
  if (!answer) { return answer.error(); }
  const auto found = etcd::key_values(*answer);
  if (!found) { return found.error(); }
  std::vector<Ownership> all;
  known_.clear();
  for (const auto& one : *found) {
    auto stored = read(one.key, one.value, one.mod_revision);
    if (!stored) { return stored.error(); }
    all.push_back(stored->ownership);
    known_[all.back().role] = *std::move(stored);
  }
  return all;
}

Status EtcdStore::compare_and_set(Term expected, Term expected_reserved, const Ownership& next) {
  const auto& known = known_[next.role];
  Ownership now = known.ownership;
  now.role = next.role;
  if (is_written({now, known.revision, known.token}, next, leadership_.token)) { return {}; }
  if (auto allowed = check_change(now, expected, expected_reserved, next); !allowed) { return allowed; }
  const auto key = etcd_.settings().at("owner/" + next.role.value);
  const auto value = json::serialize(json::object{{"term", next.term.value},
                                                  {"blade", next.place.blade.value},
                                                  {"kind", static_cast<unsigned>(next.place.kind)},
                                                  {"evidence", static_cast<unsigned>(next.evidence)},
                                                  {"reserved", next.reserved.value},
                                                  {"leased", next.leased},
                                                  {"leader", leadership_.token},
                                                  {"changed_ns", wall_now_ns()}});
  const auto answer = etcd_.call(
      "kv/txn",
      etcd::transaction({we_lead(), etcd::equals(key, "MOD", known.revision)}, {etcd::put(key, value)},
                        {json::object{{"request_range", etcd::range_one(key)}},
                         json::object{{"request_range", etcd::range_one(etcd_.settings().at("who/leader"))}}}));
  if (!answer) { return answer.error(); }
  if (!etcd::succeeded(*answer)) { return look_why(next.role, next, *answer); }
  known_[next.role] = {next, etcd::revision_of(*answer), leadership_.token};
  return {};
}

Status EtcdStore::look_why(const RoleId& role, const Ownership& next, const json::value& answer) {
  const auto found = etcd::key_values(answer, 0);
  const auto leader = etcd::key_values(answer, 1);
  if (!found) { return found.error(); }
  if (!leader) { return leader.error(); }
  std::optional<StoredOwnership> stored;
  if (!found->empty()) {
    auto one = read(found->front().key, found->front().value, found->front().mod_revision);
    if (!one) { return one.error(); }
    stored = *std::move(one);
    known_[role] = *stored;
  }
  const auto token = leader->empty() ? 0 : static_cast<std::uint64_t>(leader->front().create_revision);
  return judge_refusal(role, next, leadership_.token, token, stored);
}

Result<std::optional<link::MovementPolicy>> EtcdStore::policy() {
  const auto answer = etcd_.call("kv/range", etcd::range_one(etcd_.settings().at("policy")));
  if (!answer) { return answer.error(); }
  const auto found = etcd::key_values(*answer);
  if (!found) { return found.error(); }
  if (found->empty()) { return std::optional<link::MovementPolicy>(); }
  const auto parsed = link::parse_movement_policy(found->front().value);
  if (!parsed) { return failure("etcd's key " + found->front().key + ": " + parsed.error().message, Errc::Damaged); }
  return std::optional(parsed.value());
}

/// A request that was given up may be under way still, and come to etcd after the next one: it is compared with the
/// revision that was known before it, so that what was said last stays. Nothing is deleted: a key that is not there has
/// always the same revision.
Status EtcdStore::write_latest(const std::string& path, const std::string& value) {
  const auto key = etcd_.settings().at(path);
  auto& known = revisions_[path];
  constexpr int tries = 2;  // the first of this leadership learns the revision
  for (int i = 0; i < tries; ++i) {
    const auto answer = etcd_.call(
        "kv/txn",
        etcd::transaction({we_lead(), etcd::equals(key, "MOD", known)}, {etcd::put(key, value)},
                          {json::object{{"request_range", etcd::range_one(key)}},
                           json::object{{"request_range", etcd::range_one(etcd_.settings().at("who/leader"))}}}));
    if (!answer) { return answer.error(); }
    if (etcd::succeeded(*answer)) {
      known = etcd::revision_of(*answer);
      return {};
    }
    const auto found = etcd::key_values(*answer, 0);
    const auto leader = etcd::key_values(*answer, 1);
    if (!found) { return found.error(); }
    if (!leader) { return leader.error(); }
    const auto token = leader->empty() ? 0 : static_cast<std::uint64_t>(leader->front().create_revision);
    if (token != leadership_.token) { return deposed(); }
    known = found->empty() ? 0 : found->front().mod_revision;
  }
  return failure("etcd's key " + key + " is changed by somebody else again and again");
}

Status EtcdStore::set_policy(link::MovementPolicy policy) { return write_latest("policy", link::to_string(policy)); }

Status EtcdStore::keep(const std::string& key, const std::string& value) { return write_latest("kept/" + key, value); }

Result<std::map<std::string, std::string>> EtcdStore::kept(const std::string& prefix) {
  return all_below("kept/" + prefix);
}

Result<std::map<std::string, std::string>> EtcdStore::all_below(const std::string& path) {
  const auto prefix = etcd_.settings().at(path);
  const auto answer = etcd_.call("kv/range", etcd::range_all(prefix));
  if (!answer) { return answer.error(); }
  const auto found = etcd::key_values(*answer);
  if (!found) { return found.error(); }
  std::map<std::string, std::string> values;
  for (const auto& one : *found) { values[one.key.substr(prefix.size())] = one.value; }
  return values;
}

Result<std::set<RoleId>> EtcdStore::protected_roles() {
  const auto found = all_below("protection/");
  if (!found) { return found.error(); }
  std::set<RoleId> roles;
  for (const auto& [role, value] : *found) {
    if (value == "yes") { roles.insert(RoleId{role}); }
  }
  return roles;
}

Status EtcdStore::set_protected(const RoleId& role, bool is) {
  return write_latest("protection/" + role.value, is ? "yes" : "no");
}

Result<std::uint64_t> EtcdStore::last_event_id() {
  auto request = etcd::range_all(etcd_.settings().at("event/"));
  request["limit"] = "1";
  request["sort_order"] = "DESCEND";
  request["keys_only"] = true;
  const auto answer = etcd_.call("kv/range", request);
  if (!answer) { return answer.error(); }
  const auto found = etcd::key_values(*answer);
  if (!found) { return found.error(); }
  if (found->empty()) { return std::uint64_t{0}; }
  const auto digits = found->front().key.substr(etcd_.settings().at("event/").size());
  try {
    return std::stoull(digits);
  } catch (const std::exception&) {
    return failure("etcd's key " + found->front().key + " is no event's", Errc::Damaged);
  }
}

Status EtcdStore::append(const std::vector<link::EventRecord>& events) {
  if (events.empty()) { return {}; }
  json::array batch;
  for (const auto& event : events) { batch.push_back(to_json(event)); }
  const auto last = events.back().id;
  json::array doing{etcd::put(event_key(etcd_.settings(), last), json::serialize(batch))};
  const bool trims = last > kKeptEvents && last - kKeptEvents >= trimmed_ + kTrimEvery;
  if (trims) {
    doing.push_back(
        json::object{{"request_delete_range",
                      {{"key", etcd::encode_base64(event_key(etcd_.settings(), 0))},
                       {"range_end", etcd::encode_base64(event_key(etcd_.settings(), last - kKeptEvents))}}}});
  }
  const auto answer = etcd_.call("kv/txn", etcd::transaction({we_lead()}, std::move(doing), {}));
  if (!answer) { return answer.error(); }
  if (!etcd::succeeded(*answer)) { return deposed(); }
  if (trims) { trimmed_ = last - kKeptEvents; }
  return {};
}

Result<std::vector<link::EventRecord>> EtcdStore::events_after(std::uint64_t after, std::size_t limit) {
  const auto prefix = etcd_.settings().at("event/");
  std::vector<link::EventRecord> events;
  std::uint64_t last = after;
  if (after == UINT64_MAX) { return events; }
  auto request = etcd::range_from(event_key(etcd_.settings(), after + 1), prefix);
  request["limit"] = std::to_string(kBatchesAtOnce);
  request["serializable"] = true;
  const auto answer = etcd_.call("kv/range", request);
  if (!answer) { return answer.error(); }
  const auto found = etcd::key_values(*answer);
  if (!found) { return found.error(); }
  for (const auto& batch : *found) {
    boost::system::error_code wrong;
    const auto parsed = json::parse(batch.value, wrong);
    if (wrong || !parsed.is_array()) {
      return failure("etcd's key " + batch.key + " is no batch of events", Errc::Damaged);
    }
    for (const auto& one : parsed.as_array()) {
      auto event = event_from_json(one);
      if (!event) { return event.error(); }
      if (event->id <= last) { continue; }  // an earlier batch had it: it was written again after a lost answer
      if (events.size() == limit) { return events; }
      last = event->id;
      events.push_back(*std::move(event));
    }
  }
  return events;
}

}  // namespace understudy::control
