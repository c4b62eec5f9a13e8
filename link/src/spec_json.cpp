// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/spec_json.hpp"

#include <boost/json.hpp>

#include "understudy/link/json_fields.hpp"

namespace understudy::link {
namespace {

namespace json = boost::json;

// Far above any real configuration; they bound what a damaged message can make us allocate.
constexpr std::size_t most_ports = 64;
constexpr std::size_t most_addresses = 64;
constexpr std::size_t most_routes = 65536;
constexpr std::size_t most_sysctls = 1024;
constexpr std::size_t most_words = 1024;
constexpr std::size_t most_tables = 16;

json::value to_json(const PortSpec& port) {
  json::array addresses;
  for (const auto& address : port.addresses) { addresses.emplace_back(address.to_string()); }
  return {{"name", port.name}, {"network", port.network}, {"mac", port.mac.to_string()}, {"addresses", addresses}};
}

json::value to_json(const ApplicationSpec& application) {
  json::array command;
  for (const auto& word : application.command) { command.emplace_back(word); }
  json::array tables;
  for (const auto& table : application.tables) {
    tables.push_back({{"name", table.name},
                      {"key_bytes", table.key_bytes},
                      {"value_bytes", table.value_bytes},
                      {"capacity", table.capacity},
                      {"kind", table.kind},
                      {"capacity_max", table.capacity_max}});
  }
  return {{"name", application.name},
          {"command", command},
          {"store", application.store},
          {"tables", tables},
          {"journal_bytes", application.journal_bytes}};
}

Result<PortSpec> port_from_json(const json::value& value) {
  JsonFields fields(value, "port");
  PortSpec port;
  port.name = fields.string("name");
  port.network = fields.string("network");
  port.mac = fields.parsed<MacAddress>("mac");
  for (const auto& element : fields.array("addresses", most_addresses)) {
    const auto* text = element.if_string();
    auto address = text == nullptr ? Result<IpPrefix>(failure("an address is not a string"))
                                   : IpPrefix::parse(std::string_view(text->data(), text->size()));
    if (!address) {
      fields.problem(address.error().message);
      break;
    }
    port.addresses.push_back(*address);
  }
  if (auto done = fields.finish(); !done) { return done.error(); }
  return port;
}

Result<TableSpec> table_from_json(const json::value& value) {
  JsonFields fields(value, "table");
  TableSpec table;
  table.name = fields.string("name");
  table.key_bytes = fields.number32("key_bytes");
  table.value_bytes = fields.number32("value_bytes");
  table.capacity = fields.number("capacity");
  table.kind = fields.number32("kind");
  table.capacity_max = fields.number("capacity_max");
  if (auto done = fields.finish(); !done) { return done.error(); }
  return table;
}

Result<ApplicationSpec> application_from_json(const json::value& value) {
  JsonFields fields(value, "application");
  ApplicationSpec application;
  application.name = fields.string("name");
  for (const auto& element : fields.array("command", most_words)) {
    const auto* text = element.if_string();
    if (text == nullptr) {
      fields.problem("a word of command is not a string");
      break;
    }
    application.command.emplace_back(text->data(), text->size());
  }
  application.store = fields.string("store");
  for (const auto& element : fields.array("tables", most_tables)) {
    auto table = table_from_json(element);
    if (!table) {
      fields.problem(table.error().message);
      break;
    }
    application.tables.push_back(*std::move(table));
  }
  application.journal_bytes = fields.number("journal_bytes");
  if (auto done = fields.finish(); !done) { return done.error(); }
  return application;
}

json::value to_json(const HealthSpec& health) {
  json::array command;
  for (const auto& word : health.command) { command.emplace_back(word); }
  return {{"command", command},
          {"interval_ms", health.interval_ms},
          {"deadline_ms", health.deadline_ms},
          {"failures", health.failures}};
}

/// A daemon that was here before this was known has written none of it down.
void read_health(JsonFields& fields, RoleSpec& spec) {
  if (fields.find("link_down_ms") != nullptr) { spec.link_down_ms = fields.number32("link_down_ms"); }
  const auto* found = fields.find("health");
  if (found == nullptr) { return; }
  JsonFields health(*found, "health");
  for (const auto& element : health.array("command", most_words)) {
    const auto* text = element.if_string();
    if (text == nullptr) {
      health.problem("a word of command is not a string");
      break;
    }
    spec.health.command.emplace_back(text->data(), text->size());
  }
  spec.health.interval_ms = health.number32("interval_ms");
  spec.health.deadline_ms = health.number32("deadline_ms");
  spec.health.failures = health.number32("failures");
  fields.take(health.finish());
}

void read_routes(JsonFields& fields, RoleSpec& spec) {
  for (const auto& element : fields.array("routes", most_routes)) {
    JsonFields route(element, "route");
    RouteSpec read;
    read.destination = route.parsed<IpPrefix>("destination");
    read.gateway = route.parsed<IpAddress>("gateway");
    fields.take(route.finish());
    spec.routes.push_back(read);
  }
}

void read_sysctls(JsonFields& fields, RoleSpec& spec) {
  for (const auto& element : fields.array("sysctls", most_sysctls)) {
    JsonFields sysctl(element, "sysctl");
    auto key = sysctl.string("key");
    auto value = sysctl.string("value");
    fields.take(sysctl.finish());
    spec.sysctls.emplace_back(std::move(key), std::move(value));
  }
}

}  // namespace

json::value to_json(const RoleSpec& spec) {
  json::array ports;
  for (const auto& port : spec.ports) { ports.push_back(to_json(port)); }
  json::array routes;
  for (const auto& route : spec.routes) {
    routes.push_back({{"destination", route.destination.to_string()}, {"gateway", route.gateway.to_string()}});
  }
  json::array sysctls;
  for (const auto& [key, value] : spec.sysctls) { sysctls.push_back({{"key", key}, {"value", value}}); }
  return {{"id", spec.id.value},
          {"number", spec.number},
          {"version", spec.version},
          {"ports", ports},
          {"routes", routes},
          {"sysctls", sysctls},
          {"ruleset", spec.ruleset},
          {"application", to_json(spec.application)},
          {"region_bytes", spec.region_bytes},
          {"flow_capacity", spec.flow_capacity},
          {"mirror_address", spec.mirror_address.to_string()},
          {"mirror_mac", spec.mirror_mac.to_string()},
          {"mirror_memory_mib", spec.mirror_memory_mib},
          {"health", to_json(spec.health)},
          {"link_down_ms", spec.link_down_ms},
          {"mirror_blade", spec.mirror_blade.value}};
}

Result<RoleSpec> role_spec_from_json(const json::value& value) {
  JsonFields fields(value, "role");
  RoleSpec spec;
  spec.id.value = fields.string("id");
  spec.number = fields.number32("number");
  spec.version = fields.string("version");
  for (const auto& element : fields.array("ports", most_ports)) {
    auto port = port_from_json(element);
    if (!port) {
      fields.problem(port.error().message);
      break;
    }
    spec.ports.push_back(*std::move(port));
  }
  read_routes(fields, spec);
  read_sysctls(fields, spec);
  spec.ruleset = fields.string("ruleset");
  if (const auto* found = fields.find("application"); found != nullptr) {
    auto application = application_from_json(*found);
    if (application) {
      spec.application = *std::move(application);
    } else {
      fields.problem(application.error().message);
    }
  } else {
    fields.problem("application is missing");
  }
  spec.region_bytes = fields.number("region_bytes");
  spec.flow_capacity = fields.number("flow_capacity");
  spec.mirror_address = fields.parsed<IpPrefix>("mirror_address");
  spec.mirror_mac = fields.parsed<MacAddress>("mirror_mac");
  spec.mirror_memory_mib = fields.number32("mirror_memory_mib");
  read_health(fields, spec);
  // A record of an older daemon has none.
  if (fields.find("mirror_blade") != nullptr) { spec.mirror_blade.value = fields.string("mirror_blade"); }
  if (auto done = fields.finish(); !done) { return done.error(); }
  return spec;
}

namespace {

BfdAuthentication authentication_from(JsonFields& fields) {
  const auto number = fields.number8("authentication");
  for (const auto known : {BfdAuthentication::None, BfdAuthentication::Simple, BfdAuthentication::Sha1,
                           BfdAuthentication::MeticulousSha1}) {
    if (number == static_cast<std::uint8_t>(known)) { return known; }
  }
  fields.problem("authentication " + std::to_string(number) + " is unknown");
  return BfdAuthentication::None;
}

}  // namespace

json::value to_json(const RunMirror& order) {
  return {{"spec", to_json(order.spec)},
          {"term", order.term.value},
          {"active", order.active.value},
          {"active_address", order.active_address.to_string()},
          {"bfd",
           {{"interval_ms", order.bfd.interval_ms},
            {"multiplier", order.bfd.multiplier},
            {"authentication", static_cast<unsigned>(order.bfd.authentication)},
            {"key_id", order.bfd.key_id}}}};
}

Result<RunMirror> run_mirror_from_json(const json::value& value) {
  JsonFields fields(value, "mirror");
  RunMirror order;
  if (const auto* found = fields.find("spec"); found != nullptr) {
    auto spec = role_spec_from_json(*found);
    if (!spec) { return spec.error(); }
    order.spec = *std::move(spec);
  } else {
    fields.problem("spec is missing");
  }
  order.term.value = fields.number("term");
  order.active.value = fields.string("active");
  order.active_address = fields.parsed<IpAddress>("active_address");
  if (const auto* found = fields.find("bfd"); found != nullptr) {
    JsonFields bfd(*found, "bfd");
    order.bfd.interval_ms = bfd.number32("interval_ms");
    order.bfd.multiplier = bfd.number32("multiplier");
    order.bfd.authentication = authentication_from(bfd);
    order.bfd.key_id = bfd.number8("key_id");
    fields.take(bfd.finish());
  } else {
    fields.problem("bfd is missing");
  }
  if (auto done = fields.finish(); !done) { return done.error(); }
  return order;
}

}  // namespace understudy::link
