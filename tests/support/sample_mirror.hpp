// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A RunMirror with every field set, for tests.

#include "understudy/link/messages.hpp"

namespace understudy::test {

inline link::RunMirror sample_mirror() {
  link::RoleSpec spec;
  spec.id = RoleId{"role-2"};
  spec.number = 2;
  spec.version = "4f1c";
  link::PortSpec ext{"ext", "external", *MacAddress::parse("02:e0:00:00:00:02"), {}};
  ext.addresses = {*IpPrefix::parse("10.23.4.122/24"), *IpPrefix::parse("fd00:23:4::122/64")};
  link::PortSpec intranet{"int", "intranet-2", *MacAddress::parse("02:e1:00:00:00:02"), {}};
  intranet.addresses = {*IpPrefix::parse("10.50.2.1/24"), *IpPrefix::parse("fe80::1/64")};
  spec.ports = {ext, intranet};
  spec.routes = {{*IpPrefix::parse("0.0.0.0/0"), *IpAddress::parse("10.23.4.1")}};
  spec.sysctls = {{"net.ipv4.ip_forward", "1"}};
  spec.ruleset = "table ip nat {\n  chain post { type nat hook postrouting priority 100; }\n}\n";
  spec.application = {"session-service",
                      {"/usr/bin/session-service", "--port", "8080"},
                      "sessions",
                      {{"session", 16, 64, 1000}},
                      std::uint64_t{1} << 20};
  spec.region_bytes = std::uint64_t{16} << 20;
  spec.flow_capacity = 16384;
  spec.mirror_address = *IpPrefix::parse("192.168.1.42/24");
  spec.mirror_mac = *MacAddress::parse("02:e2:00:00:00:02");
  spec.mirror_memory_mib = 192;
  spec.health = {{"/usr/bin/check", "--role"}, 2000, 700, 5};
  spec.link_down_ms = 900;
  spec.mirror_blade = BladeId{"blade-4"};
  return {spec,
          Term{7},
          BladeId{"blade-2"},
          *IpAddress::parse("192.168.1.2"),
          {50, 3, link::BfdAuthentication::MeticulousSha1, 7}};
}

}  // namespace understudy::test
