// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/tls_settings.hpp"

#include <time.h>

#include <algorithm>
#include <filesystem>

namespace understudy::link::tls {
namespace {

constexpr const char* how =
    "; write ca, certificate and key (`understudy pki` makes them), or plain_text = true for wires without protection";

void check_files(ConfigTable& table, const Settings& settings, Whose whose, const std::string& name) {
  const auto credentials = read_credentials(settings.wire.files);
  if (!credentials) { return table.problem("certificate", credentials.error().message); }
  const auto own = check_credentials(credentials.value(), time(nullptr));
  if (!own) { return table.problem("certificate", own.error().message); }
  const auto& identity = *own->identity;
  if (identity.kind != (whose == Whose::Blade ? Kind::Blade : Kind::ControlServer)) {
    table.problem("certificate", "the certificate is that of " + describe(identity) + "; issue one of a " +
                                     (whose == Whose::Blade ? "blade" : "control-server"));
  } else if (whose == Whose::Blade && identity.name != name) {
    table.problem("certificate", "the certificate is that of " + describe(identity) + ", and this is " + name +
                                     "; write the file of this blade's own");
  }
}

std::vector<std::filesystem::path> mirror_certificates(const std::string& directory) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".crt") { found.push_back(entry.path()); }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void tell_alarms(std::vector<std::string>& told, const CredentialFiles& files, int warn_days, std::int64_t now) {
  const auto credentials = read_credentials(files);
  if (!credentials) {
    told.push_back(credentials.error().message);
    return;
  }
  const auto good = check_credentials(credentials.value(), now);
  if (!good) {
    told.push_back(files.certificate + ": " + good.error().message);
  } else if (good->days_left(now) <= warn_days) {
    told.push_back("the certificate of " + describe(*good->identity) + " (" + files.certificate + ") ends at " +
                   utc_text(good->not_after) + ", in " + std::to_string(good->days_left(now)) +
                   " days; `understudy pki renew` makes a new one");
  }
  const auto ca = read_certificate(credentials->ca);
  if (ca && ca->days_left(now) <= warn_days) {
    told.push_back("the CA (" + files.ca + ") ends at " + utc_text(ca->not_after) + ", in " +
                   std::to_string(ca->days_left(now)) + " days; make a new one and put both into the file for a while");
  }
}

}  // namespace

Result<Credentials> read_mirror_credentials(const Settings& settings, const std::string& blade, const std::string& role,
                                            std::int64_t now) {
  const auto files = settings.mirror_files(role);
  const std::string advice = "; `understudy pki issue mirror " + blade + " " + role + "` makes one";
  auto credentials = read_credentials(files);
  if (!credentials) { return failure(credentials.error().message + advice, credentials.error().code); }
  const auto good = check_credentials(credentials.value(), now);
  if (!good) { return failure(files.certificate + ": " + good.error().message + advice, good.error().code); }
  const auto& identity = *good->identity;
  if (identity.kind != Kind::Mirror || identity.name != blade || identity.role != role) {
    return failure(files.certificate + " is that of " + describe(identity) + advice, Errc::BadInput);
  }
  return credentials;
}

Settings read_settings(ConfigTable& root, Whose whose, const std::string& name, bool on_this_machine) {
  Settings settings;
  if (!root.has("tls")) { root.problem("tls", std::string("there is no [tls]") + how); }
  auto table = root.table("tls");
  auto& files = settings.wire.files;
  settings.wire.plain_text = table.boolean_or("plain_text", false);
  files.ca = table.string_or("ca", "", "the path of the CA's certificate");
  files.certificate = table.string_or("certificate", "", "the path of this daemon's certificate");
  files.key = table.string_or("key", "", "the path of its key");
  if (whose == Whose::Blade) {
    settings.mirrors = table.string_or("mirrors", "", "the directory of the mirrors' certificates and keys");
  }
  settings.warn_days = static_cast<int>(
      table.integer_or("warn_days", settings.warn_days, "days before its end at which a certificate is told", 0, 3650));
  const bool any = !files.ca.empty() || !files.certificate.empty() || !files.key.empty() || !settings.mirrors.empty();
  if (settings.wire.plain_text) {
    if (any) { table.problem("plain_text", "plain_text = true and certificates exclude each other; remove one"); }
    return settings;
  }
  for (const auto& [key, path] : {std::pair("ca", &files.ca), std::pair("certificate", &files.certificate),
                                  std::pair("key", &files.key), std::pair("mirrors", &settings.mirrors)}) {
    if (!path->empty() || (whose != Whose::Blade && path == &settings.mirrors)) { continue; }
    table.problem(key, std::string("[tls] has no ") + key + how);
    return settings;
  }
  if (on_this_machine) { check_files(table, settings, whose, name); }
  return settings;
}

std::vector<std::string> certificate_alarms(const Settings& settings, std::int64_t now) {
  std::vector<std::string> told;
  if (settings.wire.plain_text) { return told; }
  tell_alarms(told, settings.wire.files, settings.warn_days, now);
  if (settings.mirrors.empty()) { return told; }
  for (const auto& path : mirror_certificates(settings.mirrors)) {
    tell_alarms(told, settings.mirror_files(path.stem().string()), settings.warn_days, now);
  }
  std::sort(told.begin(), told.end());  // a CA that all of them share is told once
  told.erase(std::unique(told.begin(), told.end()), told.end());
  return told;
}

std::vector<std::string> mirror_alarms(const Settings& settings, const std::string& role, std::int64_t now) {
  std::vector<std::string> told;
  if (!settings.wire.plain_text) { tell_alarms(told, settings.mirror_files(role), settings.warn_days, now); }
  return told;
}

}  // namespace understudy::link::tls
