// SPDX-License-Identifier: Apache-2.0
// `understudy`: status, events, watch, move. Exit status 1: the control-server said no or is not there; 2: wrong usage.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <iostream>
#include <string>

#include "output.hpp"
#include "understudy/link/control_api_operator.hpp"

namespace {

using understudy::Error;
using understudy::link::OperatorClient;

constexpr int failed = 1;
constexpr int wrong_usage = 2;

int complain(const std::string& address, const Error& error) {
  std::cerr << "understudy: control-server " << address << ": " << error.message << "\n";
  return failed;
}

bool colours() { return isatty(STDOUT_FILENO) != 0; }

int show_status(const std::string& address, bool as_json) {
  OperatorClient client(address);
  auto status = client.status();
  if (!status) { return complain(address, status.error()); }
  std::cout << (as_json ? understudy::cli::to_json(*status) + "\n" : understudy::cli::to_text(*status, colours()));
  return 0;
}

int show_events(const std::string& address, std::uint64_t since, bool follow, bool as_json) {
  OperatorClient client(address);
  auto done = client.watch_events(since, follow, [&](const understudy::link::EventRecord& event) {
    std::cout << (as_json ? understudy::cli::to_json(event) : understudy::cli::to_text(event, colours())) << std::endl;
    return static_cast<bool>(std::cout);
  });
  return done ? 0 : complain(address, done.error());
}

/// Status now, and again after every event.
int watch(const std::string& address) {
  if (const int shown = show_status(address, false); shown != 0) { return shown; }
  OperatorClient client(address);
  auto done = client.watch_events(0, true, [&](const understudy::link::EventRecord& event) {
    if (colours()) { std::cout << "\033[H\033[2J"; }
    const bool alive = show_status(address, false) == 0;
    std::cout << "\nlast event: " << understudy::cli::to_text(event, colours()) << std::endl;
    return alive;
  });
  return done ? 0 : complain(address, done.error());
}

int move(const std::string& address, const std::string& role) {
  OperatorClient client(address);
  auto moved = client.move_role(understudy::RoleId{role});
  if (!moved) { return complain(address, moved.error()); }
  std::cout << *moved << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Understudy: N+1 hot standby. Shows and steers a group through its control-server.");
  std::string address = "127.0.0.1:7400";
  bool as_json = false;
  bool follow = false;
  std::uint64_t since = 0;
  std::string role;
  app.add_option("--control", address, "address:port of the control-server")
      ->envname("UNDERSTUDY_CONTROL")
      ->capture_default_str();
  app.set_version_flag("--version", UNDERSTUDY_VERSION);
  app.require_subcommand(1);
  auto* status = app.add_subcommand("status", "roles, blades and what is wrong");
  status->add_flag("--json", as_json, "for machines");
  auto* events = app.add_subcommand("events", "the event log, oldest first");
  events->add_flag("--json", as_json, "one JSON object a line");
  events->add_flag("--follow", follow, "go on with new events until interrupted");
  events->add_option("--since", since, "only events after this id");
  auto* watching = app.add_subcommand("watch", "the status, renewed with every event, until interrupted");
  auto* moving = app.add_subcommand("move", "move a role from its mirror to the standby's host");
  moving->add_option("role", role, "e.g. role-2")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : wrong_usage; }
  if (status->parsed()) { return show_status(address, as_json); }
  if (events->parsed()) { return show_events(address, since, follow, as_json); }
  if (watching->parsed()) { return watch(address); }
  return move(address, role);
}
