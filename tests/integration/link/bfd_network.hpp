// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Two network namespaces and a cable (veth), and what a BFD service in one of them told.
///
///   [ here: va 10.9.0.1, fd09::1 ]────────[ there: vb 10.9.0.2, fd09::2 ]

#include <gtest/gtest.h>
#include <unistd.h>

#include "network_namespace.hpp"
#include "support/bfd_told.hpp"

namespace understudy::link::bfd {

using namespace std::chrono_literals;

inline IpAddress address(const std::string& text) { return IpAddress::parse(text).value(); }

struct Node : Told {
  Node(test::NetworkNamespace& where, std::vector<IpAddress> locals) {
    BfdService::Options options;
    options.local_addresses = std::move(locals);
    where.run([&] {  // sockets are made where the caller is
      auto started = start(options);
      if (!started) {
        ADD_FAILURE() << started.error().message;
      } else {
        service = std::move(started).value();
      }
    });
  }
  bool wait_for(const IpAddress& peer, SessionState state) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 30s, [&] {
      for (auto at = events.rbegin(); at != events.rend(); ++at) {
        if (at->peer == peer) { return at->change.to == state; }
      }
      return false;
    });
  }
  PeerEvent last_of(const IpAddress& peer) {
    const std::lock_guard lock(mutex);
    PeerEvent last;
    for (const auto& event : events) {
      if (event.peer == peer) { last = event; }
    }
    return last;
  }

  std::unique_ptr<BfdService> service;
};

class BfdNetwork : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) { GTEST_SKIP() << "needs root for network namespaces"; }
    ASSERT_TRUE(here.good() && there.good());
    ASSERT_TRUE(here.ip("link add va type veth peer name vb netns " + there.id()));
    ASSERT_TRUE(here.ip("addr add 10.9.0.1/24 dev va") && here.ip("addr add fd09::1/64 dev va nodad") &&
                here.ip("link set va up"));
    ASSERT_TRUE(there.ip("addr add 10.9.0.2/24 dev vb") && there.ip("addr add fd09::2/64 dev vb nodad") &&
                there.ip("link set vb up"));
  }
  test::NetworkNamespace here;
  test::NetworkNamespace there;
  const IpAddress here4 = address("10.9.0.1"), here6 = address("fd09::1");
  const IpAddress there4 = address("10.9.0.2"), there6 = address("fd09::2");
};

}  // namespace understudy::link::bfd
