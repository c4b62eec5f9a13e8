// SPDX-License-Identifier: Apache-2.0
#include "edge/config_witness.hpp"

#include <algorithm>

#include "understudy/link/bfd_key_file.hpp"

namespace understudy::control {
namespace {

constexpr std::uint32_t kIntervalMin = 10;

void check_address(ConfigTable& table, const WitnessConfig& witness, const ServerConfig& config) {
  const auto& address = witness.address;
  check_host(table, "address", address);
  if (address.family == 0) { return; }
  if (address.is_link_local()) {
    table.problem("address", address.to_string() +
                                 " means another machine on every interface; write an address that is not link-local");
  }
  if (witness.by == WitnessConfig::By::Bfd && config.listen_address.family != 0 &&
      address.family != config.listen_address.family) {
    table.problem("address", "BFD needs an address of the family of [control] listen, not " + address.to_string() +
                                 "; write one, or method = \"icmp\"");
  }
}

WitnessConfig read_witness(ConfigTable& table, const std::string& path, Checks checks, Claims& claims,
                           ServerConfig& config) {
  WitnessConfig witness;
  witness.name = read_name(table, "name", "the witness's name, e.g. \"switch-a\"");
  claims.claim(table, "name", "witness", witness.name,
               "[[witness]] " + std::to_string(config.group.witnesses.size() + 1));
  const auto method = table.string("method", "\"icmp\" or \"bfd\"");
  if (method == "bfd") {
    witness.by = WitnessConfig::By::Bfd;
  } else if (method != "icmp" && !method.empty()) {
    table.problem("method", "\"" + method + "\" is no way to ask a witness; write \"icmp\" or \"bfd\"");
  }
  const auto address = table.string("address", "its address, e.g. \"192.168.1.254\"");
  witness.address = parse_value<IpAddress>(table, "address", address);
  check_address(table, witness, config);
  claims.claim(table, "address", "address", witness.address.family != 0 ? witness.address.to_string() : "",
               "witness " + witness.name);
  const auto& detection = config.group.bfd;
  witness.interval = std::chrono::milliseconds(table.integer_or(
      "interval_ms", std::max(detection.interval_ms, kIntervalMin), "ms between two questions", kIntervalMin, 10'000));
  witness.count =
      static_cast<unsigned>(table.integer_or("count", detection.multiplier, "missing answers that mean lost", 1, 255));
  if (witness.by == WitnessConfig::By::Bfd) {
    const auto keys = checks != Checks::File ? link::bfd::KeyFile::Read : link::bfd::KeyFile::Ignore;
    config.witness_authentication[witness.name] = link::bfd::read_authentication(table, path, keys);
  }
  return witness;
}

}  // namespace

void read_witnesses(ConfigTable& root, const std::string& path, Checks checks, Claims& claims, ServerConfig& config) {
  for (auto& table : root.tables("witness")) {
    auto witness = read_witness(table, path, checks, claims, config);
    config.group.witnesses.push_back(std::move(witness));
    if (config.group.witnesses.size() == kWitnessesMax + 1) {
      table.problem("name", "more than " + std::to_string(kWitnessesMax) + " [[witness]]; two or three say enough");
    }
  }
}

}  // namespace understudy::control
