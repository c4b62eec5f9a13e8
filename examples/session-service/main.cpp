// SPDX-License-Identifier: Apache-2.0
// The session service: PROTOCOL.md says what it speaks.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>

#include "service.hpp"
#include "tables.hpp"
#include "understudy/common/log.hpp"

namespace {

/// One descriptor a connection: the soft limit of 1024 is for programs that use select().
void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) { return; }
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int serve(std::uint16_t port, const understudy::app::Embedded& embedded) {
  auto lifecycle = understudy::app::Lifecycle::from_environment(embedded);
  if (!lifecycle) {
    understudy::log::error("{}", lifecycle.error().message);
    return 2;
  }
  auto service = session_service::Service::open(std::move(lifecycle).value(), port);
  if (!service) {
    understudy::log::error("{}", service.error().message);
    return 2;
  }
  return service.value()->run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App arguments{"A TCP and UDP session service whose sessions survive its blade"};
  std::uint16_t port = 7500;
  session_service::Capacity capacity;
  std::string region = "/dev/shm/understudy-session-service";
  bool describe = false;
  arguments.add_option("--port", port, "TCP and UDP port, all addresses")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  arguments.add_option("--sessions", capacity.sessions, "sessions that fit, where it makes its region itself")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  arguments.add_option("--region", region, "region file, where no agent names one")->capture_default_str();
  arguments.add_flag("--describe-store", describe, "print the [role.application] lines for group.toml and end");
  try {
    arguments.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return arguments.exit(problem) == 0 ? 0 : 2;  // 2: bad input, nothing was started
  }
  capacity.chunks = 2 * capacity.sessions;
  const auto schema = session_service::store_schema("sessions", capacity);
  if (describe) {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
    std::cout << session_service::describe_store(program, port, schema);
    return 0;
  }
  understudy::log::init("session-service");
  allow_many_connections();
  return serve(port, {region, schema, 0});
}
