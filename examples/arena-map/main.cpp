// SPDX-License-Identifier: Apache-2.0
// A map that an application keeps with Boost.Interprocess, through takeovers and movements. map_service.hpp says what
// it speaks. Try it alone:  ./arena-map --port 7600 &  printf 'PUT a 1\nGET a\n' | nc -q1 localhost 7600
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>

#include "map_service.hpp"
#include "understudy/common/log.hpp"

namespace {

/// The lines of a group's configuration that give a role this application.
void describe_store(std::uint16_t port, const understudy::shm::StoreSchema& schema) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::cout << "[role.application]\nname = \"arena-map\"\ncommand = [\"" << program << "\", \"--port\", \"" << port
            << "\"]\nstore = \"" << schema.name << "\"\njournal_kib = " << (schema.journal_bytes >> 10) << "\n";
  for (const auto& table : schema.tables) {
    std::cout << "[[role.application.table]]\nname = \"" << table.name
              << "\"\nkind = \"dense\"\nkey_bytes = " << table.key_bytes << "\nvalue_bytes = " << table.value_bytes
              << "\ncapacity = " << table.capacity << "\n";
  }
}

int serve(std::uint16_t port, const understudy::app::Embedded& embedded) {
  auto lifecycle = understudy::app::Lifecycle::from_environment(embedded);
  if (!lifecycle) {
    understudy::log::error("{}", lifecycle.error().message);
    return 2;
  }
  auto service = arena_map::Service::open(std::move(lifecycle).value(), port);
  if (!service) {
    understudy::log::error("{}", service.error().message);
    return 2;
  }
  return service.value()->run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App arguments{"A boost::interprocess::map whose content survives its blade"};
  std::uint16_t port = 7600;
  std::uint64_t arena_kib = arena_map::default_arena_bytes >> 10;
  std::string region = "/dev/shm/understudy-arena-map";
  bool describe = false;
  arguments.add_option("--port", port, "TCP port, all addresses")->capture_default_str()->check(CLI::Range(1, 65535));
  arguments.add_option("--arena-kib", arena_kib, "size of the arena, where it makes its region itself")
      ->capture_default_str()
      ->check(CLI::Range(64, 1 << 20));
  arguments.add_option("--region", region, "region file, where no agent names one")->capture_default_str();
  arguments.add_flag("--describe-store", describe, "print the [role.application] lines for group.toml and end");
  try {
    arguments.parse(argc, argv);
  } catch (const CLI::ParseError& problem) { return arguments.exit(problem) == 0 ? 0 : 2; }
  const auto schema = arena_map::store_schema(arena_kib << 10);
  if (describe) {
    describe_store(port, schema);
    return 0;
  }
  understudy::log::init("arena-map");
  return serve(port, {region, schema, 0});
}
