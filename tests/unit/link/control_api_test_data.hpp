// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One value of every message, each field different from its default.

#include <vector>

#include "understudy/link/control_api_status.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link::test {

inline RoleSpec spec() {
  RoleSpec spec;
  spec.id = RoleId{"role-1"};
  spec.number = 1;
  spec.version = "c0ffee";
  spec.ports = {
      {"ext",
       "external",
       MacAddress::parse("02:e0:00:00:00:01").value(),
       {IpPrefix::parse("10.23.4.121/24").value(), IpPrefix::parse("fd00:23:4::121/64").value()}},
      {"int", "intranet-1", MacAddress::parse("02:e1:00:00:00:01").value(), {IpPrefix::parse("fe80::1/64").value()}}};
  spec.routes = {{IpPrefix::parse("0.0.0.0/0").value(), IpAddress::parse("10.23.4.1").value()}};
  spec.sysctls = {{"net.ipv4.ip_forward", "1"}};
  spec.ruleset = "table inet role {}\n";
  spec.application = {"session-service",
                      {"/usr/bin/session-service", "--port", "80"},
                      "sessions",
                      {{"session", 16, 64, 1000}, {"rules", 8, 20000, 10, 1, 40}},
                      1 << 20};
  spec.region_bytes = 16 << 20;
  spec.flow_capacity = 16384;
  spec.mirror_address = IpPrefix::parse("192.168.1.41/24").value();
  spec.mirror_mac = MacAddress::parse("02:e2:00:00:00:01").value();
  spec.mirror_memory_mib = 192;
  spec.health = {{"/usr/bin/check", "--role"}, 2000, 700, 5};
  spec.link_down_ms = 900;
  spec.mirror_blade = BladeId{"blade-4"};
  return spec;
}

inline std::vector<Order> every_order() {
  const RoleId role{"role-1"};
  return {ServeRole{spec(), Term{3}},
          StandDown{role, Term{4}},
          RunMirror{spec(),
                    Term{3},
                    BladeId{"blade-1"},
                    IpAddress::parse("192.168.1.1").value(),
                    {10, 5, BfdAuthentication::Sha1, 9}},
          Activate{role, Term{4}, StopEvidence::Isolated, 3000},
          Move{role, Term{5}},
          ReleaseMirrors{{RoleId{"role-2"}, RoleId{"role-3"}}},
          ArmLease{role, Term{3}, 7, 2000, 1500},
          DisarmLease{role, Term{3}},
          AllowGrants{role, Term{3}},
          StopGrants{role, Term{3}},
          HandOver{role, Term{4}, 3000}};
}

inline std::vector<Report> every_report() {
  const RoleId role{"role-1"};
  return {Hello{BladeId{"blade-1"}, "boot", {{role, Term{3}, PlaceKind::Mirror, true}}, "another", {{role, Term{7}}}},
          Serving{role, Term{3}},
          ServeFailed{role, Term{3}, "no such interface"},
          Stopped{role, Term{3}},
          MirrorState{role, Term{3}, MirrorPhase::Synced, "nonce", "text", true, true},
          PeerVote{role, BladeId{"blade-1"}, Vote::Down},
          ApplicationFailed{role, Term{3}, "exit status 1"},
          Activated{role, Term{4}, {{"handover", 1.5}, {"open", 0.5}}},
          ActivateFailed{role, Term{4}, "no region"},
          Moved{role, Term{5}, {{"prepare", 100}, {"freeze", 0.5}}},
          MoveFailed{role, Term{5}, "quiesce deadline"},
          MirrorsReleased{1, 250.5},
          MirrorWarning{role, Term{3}, "its region is slow"},
          LeaseState{role, Term{3}, 7},
          GrantsStopped{role, Term{3}},
          HandedOver{role, Term{4}, {{"quiesce", 12}, {"ship", 1.5}}},
          HandOverFailed{role, Term{4}, "the mirror does not follow"},
          RoleUnfit{role, Term{4}, UnfitCause::Link, {"external", "intranet-1"}, "no carrier"},
          RoleFit{role, Term{4}, UnfitCause::Apparatus},
          SyncProgress{role,
                       Term{4},
                       SyncStream::Stalled,
                       {{"net", Sequence{900}, Sequence{880}}, {"app", Sequence{7}, Sequence{7}}}},
          RoleAlarm{role, Term{4}, "tables", "table \"flows\" is full"}};
}

inline GroupStatus status() {
  return {BladeId{"blade-2"},
          MovementPolicy::Always,
          {10, 5, BfdAuthentication::MeticulousSha1, 255},
          {{RoleId{"role-1"},
            "protected",
            {BladeId{"blade-1"}, PlaceKind::Host},
            Term{3},
            true,
            "synced",
            "detail",
            "armed",
            7,
            {BladeId{"blade-2"}, "synced", {{"net", Sequence{12}, Sequence{11}}}, 250}}},
          {{BladeId{"blade-1"}, true, Vote::Up, false, false, "held out", false, "connected", "partly"},
           {BladeId{"blade-2"}, false, Vote::Down, true, true, ""},
           {BladeId{"blade-3"}, true, Vote::Up, false, false, "", true}},
          false,
          {},
          "",
          {{"gateway", "10.0.0.1", "icmp", Vote::Up}},
          true,
          "fence_ipmilan",
          {"BFD is not authenticated", "refused: a stranger"}};
}

}  // namespace understudy::link::test
