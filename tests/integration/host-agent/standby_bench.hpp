// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A standby blade in a network namespace of its own: an external and a maintenance interface, an empty run directory
/// and a directory for regions, both gone with the test.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "../net-state/lab.hpp"
#include "edge/config.hpp"
#include "edge/region_maker.hpp"
#include "edge/standby_network.hpp"
#include "place/region_schema.hpp"
#include "support/run_until.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::host {

class StandbyBench : public testing::Test, protected understudy::test::Loop {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    blade_ = std::make_unique<net::test::TestNamespace>("standby");
    inside_.emplace(net::NamespaceScope::enter(blade_->path()).value());
    auto links = net::Links::open().value();
    for (const std::string interface : {"ext0", "mnt0"}) {
      ASSERT_OK(links.create_veth(interface, interface + "-peer"));
      ASSERT_OK(links.set_up(interface, true));
      ASSERT_OK(links.set_up(interface + "-peer", true));
    }
    config_.blade = BladeId{"blade-4"};
    config_.run_dir = made_directory("/tmp/us-standby-XXXXXX");
    config_.region_dir = made_directory("/dev/shm/us-standby-XXXXXX");
    config_.networks = {{"external", "ext0"}};
    config_.mirrors.maintenance_interface = "mnt0";
    network_ = std::make_unique<StandbyNetwork>(config_);
    ASSERT_OK(network_->ensure());
  }
  void TearDown() override {
    network_.reset();
    inside_.reset();
    blade_.reset();
    (void)net::delete_namespace(config_.run_dir + "/role-2.netns");
    for (const auto& directory : made_) { std::filesystem::remove_all(directory); }
  }

  std::string made_directory(std::string name) {
    if (::mkdtemp(name.data()) == nullptr) { throw std::runtime_error("cannot make " + name); }
    return made_.emplace_back(name);
  }

  /// A role with one port and, when `command` is not empty, an application.
  link::RoleSpec role_with(std::vector<std::string> command) {
    link::RoleSpec spec;
    spec.id = RoleId{"role-2"};
    spec.number = 2;
    spec.ports = {{"ext", "external", net::test::mac("02:00:00:00:02:01"), {net::test::prefix("10.1.2.1/24")}}};
    spec.mirror_mac = net::test::mac("02:00:00:00:02:02");
    spec.mirror_memory_mib = 128;
    spec.flow_capacity = 64;
    spec.application.command = std::move(command);
    spec.region_bytes = shm::Region::size_needed(place::region_schema(spec)).value();
    return spec;
  }
  [[nodiscard]] std::string region_path() const { return config_.region_path(RoleId{"role-2"}); }

  /// Turns the loop until nothing is left to be done: whatever was begun has come to its end.
  ::testing::AssertionResult comes_to_rest(std::chrono::seconds deadline = std::chrono::seconds(20)) {
    io_.restart();
    io_.run_for(deadline);
    if (io_.stopped()) { return ::testing::AssertionSuccess(); }
    return ::testing::AssertionFailure() << "something is still under way after " << deadline.count() << " s";
  }

  std::unique_ptr<net::test::TestNamespace> blade_;
  std::optional<net::NamespaceScope> inside_;
  std::vector<std::string> made_;
  BladeConfig config_;
  std::unique_ptr<StandbyNetwork> network_;
  RegionMaker regions_{io_};
};

}  // namespace understudy::host
