// SPDX-License-Identifier: Apache-2.0
#include "edge/config_etcd.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "edge/election.hpp"
#include "understudy/common/config_checks.hpp"

namespace understudy::control {
namespace {

/// Without its scheme; empty: neither http nor https.
std::string host_of(const std::string& endpoint) {
  for (const std::string scheme : {"http://", "https://"}) {
    if (endpoint.starts_with(scheme)) { return endpoint.substr(scheme.size()); }
  }
  return "";
}

bool is_own(const std::string& host) {
  return host.starts_with("127.") || host.starts_with("localhost:") || host.starts_with("[::1]");
}

void check_endpoint(ConfigTable& table, const std::string& endpoint, const EtcdSettings& settings) {
  const auto host = host_of(endpoint);
  if (host.empty() || host.find('/') != std::string::npos || host.find(':') == std::string::npos) {
    table.problem("endpoints", "\"" + endpoint + "\" is no endpoint; write e.g. \"https://192.168.1.250:2379\"");
  } else if (endpoint.starts_with("http://") && !is_own(host) && !settings.plain_text) {
    table.problem("endpoints", "\"" + endpoint +
                                   "\": whoever is on that network could decide who owns a role; write https, or "
                                   "plain_text = true in [control.etcd]");
  }
}

void read_servers(ConfigTable& control, ServerConfig& config) {
  config.servers =
      control.strings("servers", "all control-servers, e.g. [\"192.168.1.250:7400\", \"192.168.1.251:7400\"]");
  std::set<std::string> seen;
  for (const auto& server : config.servers) {
    if (!parse_endpoint(server)) {
      control.problem("servers", "\"" + server + "\" is no ADDRESS:PORT; write e.g. \"192.168.1.250:7400\"");
    }
    if (!seen.insert(server).second) { control.problem("servers", "\"" + server + "\" is there twice; write it once"); }
  }
  if (!config.listen.empty() && !seen.contains(config.listen)) {
    control.problem("servers", "\"" + config.listen + "\", which is this one's listen, is not among them; add it");
  }
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

constexpr const char* new_one = "; make a new one with the CA of etcd and put it in its place";

/// A start refuses only what hands etcd to everybody here. All else about these files may be as it is for months, or
/// come with a wrong clock: it is an alarm (etcd_certificate_alarms), and who does not start tells none.
void check_machine(ConfigTable& table, const EtcdSettings& settings) {
  for (const auto& [key, path] :
       {std::pair{"ca", settings.ca}, {"certificate", settings.certificate}, {"key", settings.key}}) {
    if (!path.empty() && !is_readable_file(path)) {
      table.problem(key, "\"" + path + "\" is no file that can be read; write the path of an existing one");
    }
  }
  struct stat found {};
  if (settings.key.empty() || stat(settings.key.c_str(), &found) != 0 || (found.st_mode & S_IRWXO) == 0) { return; }
  if (const auto safe = link::tls::check_key_file(settings.key); !safe) { table.problem("key", safe.error().message); }
}

/// Empty: it has time.
std::string ending(const std::string& what, const std::string& path, const link::tls::Certificate& certificate,
                   int warn_days, std::int64_t now) {
  const auto left = certificate.days_left(now);
  if (left > warn_days) { return ""; }
  return what + " (" + path + ") ends at " + link::tls::utc_text(certificate.not_after) + ", in " +
         std::to_string(left) + " days: from then on no control-server reaches etcd and nobody decides" + new_one;
}

}  // namespace

void read_state(ConfigTable& control, Checks checks, ServerConfig& config) {
  if (!control.has("etcd")) {
    config.state_path = control.string("state", "the state store's file, e.g. \"/var/lib/understudy/control.db\"");
    return;
  }
  if (control.has("state")) {
    control.problem("state", "the state is in etcd, by [control.etcd]; remove state, or [control.etcd]");
    (void)control.string_or("state", "", "");
  }
  read_servers(control, config);
  auto table = control.table("etcd");
  EtcdSettings settings;
  settings.plain_text = table.boolean_or("plain_text", false);
  settings.endpoints = table.strings("endpoints", "etcd's members, e.g. [\"https://192.168.1.250:2379\"]");
  settings.prefix =
      table.string_or("prefix", "understudy", "what the group's keys begin with, e.g. \"understudy/rack-7\"");
  if (settings.prefix.empty() || settings.prefix.ends_with('/')) {
    table.problem("prefix", "\"" + settings.prefix + "\" is no prefix; write a word without a slash at its end");
  }
  settings.ca = table.string_or("ca", "", "the file of the CA that signed etcd's certificates");
  settings.certificate = table.string_or("certificate", "", "the file of the certificate that etcd knows us by");
  settings.key = table.string_or("key", "", "its key's file");
  if (settings.certificate.empty() != settings.key.empty()) {
    table.problem(settings.key.empty() ? "certificate" : "key", "certificate and key go together; write both, or none");
  }
  settings.lease = std::chrono::seconds(table.integer_or(
      "lease_s", settings.lease.count(), "seconds after which another may lead", Election::kLeaseMin.count(), 60));
  for (const auto& endpoint : settings.endpoints) { check_endpoint(table, endpoint, settings); }
  if (settings.endpoints.empty()) { table.problem("endpoints", "there is none; write at least one"); }
  if (checks == Checks::FileAndMachine) { check_machine(table, settings); }
  config.etcd = std::move(settings);
}

std::vector<std::string> etcd_certificate_alarms(const EtcdSettings& settings, int warn_days, std::int64_t now) {
  std::vector<std::string> told;
  const auto add = [&](const std::string& text) {
    if (!text.empty()) { told.push_back(text); }
  };
  if (!settings.certificate.empty() && !settings.key.empty()) {
    const auto safe = link::tls::check_key_file(settings.key);
    if (!safe) { add("the key that etcd knows us by: " + safe.error().message); }
    const auto good = link::tls::check_pair(text_of(settings.certificate), text_of(settings.key), now);
    add(good ? ending("the certificate that etcd knows us by", settings.certificate, *good, warn_days, now)
             : "the certificate that etcd knows us by cannot be used: " + settings.certificate + ": " +
                   good.error().message + new_one);
  }
  if (!settings.ca.empty()) {
    const auto ca = link::tls::read_certificate(text_of(settings.ca));
    add(ca ? ending("the CA of etcd's certificates", settings.ca, *ca, warn_days, now)
           : "the CA of etcd's certificates cannot be used: " + settings.ca + ": " + ca.error().message);
  }
  return told;
}

}  // namespace understudy::control
