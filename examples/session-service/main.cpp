// SPDX-License-Identifier: Apache-2.0
// The session service: PROTOCOL.md says what it speaks.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>

#include "tables.hpp"

int main(int argc, char** argv) {
  CLI::App arguments{"A TCP and UDP session service whose sessions survive its blade"};
  std::uint16_t port = 7500;
  session_service::Capacity capacity;
  bool describe = false;
  arguments.add_option("--port", port, "TCP and UDP port, all addresses")->capture_default_str();
  arguments.add_option("--sessions", capacity.sessions, "sessions that fit in a region of its own")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  arguments.add_flag("--describe-store", describe, "print the [role.application] lines for group.toml and end");
  CLI11_PARSE(arguments, argc, argv);
  capacity.chunks = 2 * capacity.sessions;
  if (describe) {
    std::cout << session_service::describe_store(std::filesystem::read_symlink("/proc/self/exe").string(), port,
                                                 session_service::store_schema("sessions", capacity));
    return 0;
  }
  return 0;
}
