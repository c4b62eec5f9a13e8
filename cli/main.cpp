// SPDX-License-Identifier: Apache-2.0
/// understudy: what an operator sees and orders. Exit status: 0 done, 1 not done or the control-server cannot be
/// reached (one line says why), 2 wrong usage; of status, when it is shown: 3 nobody decides, 4 a role is lost, has no
/// mirror, or waits to be taken over.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <iostream>

#include "commands.hpp"
#include "pki_commands.hpp"
#include "understudy/common/usage.hpp"
#include "understudy/link/say_why.hpp"

namespace {

/// CLI11's check: empty when good, else what to write instead.
std::string is_endpoints(const std::string& text) {
  if (const auto comma = text.find(','); comma != std::string::npos) {
    const auto first = is_endpoints(text.substr(0, comma));
    return first.empty() ? is_endpoints(text.substr(comma + 1)) : first;
  }
  const auto colon = text.rfind(':');
  std::uint16_t port = 0;
  const auto* end = text.data() + text.size();
  const bool good = colon != std::string::npos && colon > 0 &&
                    std::from_chars(text.data() + colon + 1, end, port) == std::from_chars_result{end, std::errc{}};
  return good && port != 0 ? "" : "\"" + text + "\" is no ADDRESS:PORT; write e.g. 192.168.1.250:7400";
}

std::string is_number(const std::string& text) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const bool good = std::from_chars(text.data(), end, value) == std::from_chars_result{end, std::errc{}};
  return good ? "" : "\"" + text + "\" is no event id; write a number, 0 or more";
}

/// A person at a terminal who gave no reason is asked for one.
void ask_why(std::string& reason) {
  if (!understudy::link::is_blank(reason) || isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) { return; }
  std::fputs("why (it is written into the event log): ", stderr);
  std::getline(std::cin, reason);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shows and steers one redundancy group.", "understudy");
  understudy::cli::Control control{
      "127.0.0.1:7400",
      {false, {"/etc/understudy/ca.crt", "/etc/understudy/operator.crt", "/etc/understudy/operator.key"}}};
  app.add_option("--control", control.address, "the control-server, ADDRESS:PORT; several with commas")
      ->envname("UNDERSTUDY_CONTROL")
      ->check(is_endpoints)
      ->capture_default_str();
  const auto file = [&](const char* option, std::string& path, const char* what, const char* variable) {
    app.add_option(option, path, what)->envname(variable)->capture_default_str();
  };
  file("--ca", control.wire.files.ca, "the chassis's CA", "UNDERSTUDY_CA");
  file("--certificate", control.wire.files.certificate, "who you are", "UNDERSTUDY_CERTIFICATE");
  file("--key", control.wire.files.key, "the certificate's key", "UNDERSTUDY_KEY");
  app.add_flag("--plain-text", control.wire.plain_text, "speak without protection to a control-server that does so")
      ->envname("UNDERSTUDY_PLAIN_TEXT");
  app.set_version_flag("--version", std::string("understudy ") + UNDERSTUDY_VERSION);
  app.require_subcommand(1);
  app.fallthrough();

  bool json = false;
  understudy::cli::EventsWanted wanted;
  std::string severity = "info";
  std::string word;
  std::string reason;
  const auto changes = [&reason](CLI::App* command) {
    command->add_option("--reason", reason, "why; it is written into the event log, and asked for at a terminal");
  };
  auto* status = app.add_subcommand("status", "roles and blades, now");
  status->add_flag("--json", json, "one JSON object");
  auto* events = app.add_subcommand("events", "what happened, oldest first");
  events->add_flag("--json", json, "one JSON object a line");
  events->add_flag("--follow", wanted.follow, "stay and show what comes");
  const auto* since = events->add_option("--since", wanted.since, "only events with a larger id")
                          ->check(is_number)
                          ->capture_default_str();
  const auto* last =
      events->add_option("--last", wanted.last, "the newest so many; 0: all. Without --last and --since: 200")
          ->check(is_number);
  events->add_option("--role", wanted.filter.role, "only events of this role");
  events->add_option("--severity", severity, "only events as bad as this: info, warning or alarm")
      ->check(CLI::IsMember({"info", "warning", "alarm"}))
      ->capture_default_str();
  auto* watch = app.add_subcommand("watch", "a live table, until ctrl-c");
  auto* move = app.add_subcommand("move", "move a role from its mirror to the standby's host");
  move->add_option("ROLE", word, "the role's name")->required();
  changes(move);
  bool force = false;
  auto* switchover = app.add_subcommand("switchover", "serve a role by its mirror, planned: nothing is lost");
  switchover->add_option("ROLE", word, "the role's name")->required();
  switchover->add_flag("--force", force, "although a vote is missing, or the standby is held out or lacks a link");
  changes(switchover);
  auto* let_back = app.add_subcommand("let-back", "let a blade that failed too often have mirrors again");
  let_back->add_option("BLADE", word, "the blade's name")->required();
  changes(let_back);
  std::string what;
  auto* power = app.add_subcommand("power", "power a blade off or on, by the group's power driver");
  power->add_option("off|on", what, "what is to be done")->required()->check(CLI::IsMember({"off", "on"}));
  power->add_option("BLADE", word, "the blade's name")->required();
  power->add_flag("--force", force, "although a role would be lost, or is being taken over from it");
  changes(power);
  auto* policy = app.add_subcommand("policy", "change when roles move by themselves");
  policy->add_option("POLICY", word, "always, when-slow, when-quiet or manual")->required();
  changes(policy);
  const understudy::cli::PkiCommands pki(app);
  app.failure_message(understudy::usage_problem);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : 2; }

  if (pki.parsed()) { return pki.run(); }
  if (status->parsed()) { return understudy::cli::show_status(control, json); }
  if (events->parsed()) {
    if (last->count() == 0 && since->count() == 0) { wanted.last = understudy::cli::kLastEvents; }
    wanted.filter.least = understudy::cli::parse_severity(severity).value();
    return understudy::cli::show_events(control, wanted, json);
  }
  if (watch->parsed()) { return understudy::cli::watch(control); }
  ask_why(reason);
  const bool stops = move->parsed() || switchover->parsed() || power->parsed();
  if (stops && understudy::link::is_blank(reason)) {
    std::fprintf(stderr, "understudy: %s\n", understudy::link::kSayWhy);
    return 2;
  }
  if (move->parsed()) { return understudy::cli::move_role(control, word, reason); }
  if (switchover->parsed()) { return understudy::cli::switchover(control, word, force, reason); }
  if (let_back->parsed()) { return understudy::cli::let_back(control, word, reason); }
  if (power->parsed()) { return understudy::cli::power(control, what, word, force, reason); }
  return understudy::cli::set_policy(control, word, reason);
}
