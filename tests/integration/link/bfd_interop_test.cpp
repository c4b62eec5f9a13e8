// SPDX-License-Identifier: Apache-2.0
/// BfdService with BFD speakers of other people's making: BIRD (with and without authentication) and FRR's bfdd. What
/// went over the cable is captured by tcpdump and read by tshark's dissector.
/// Covers: link/src/bfd_authentication.cpp, link/src/bfd_sockets.cpp
#include <gtest/gtest-spi.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>

#include "bfd_network.hpp"
#include "foreign_process.hpp"
#include "support/eventually.hpp"

namespace understudy::link::bfd {
namespace {

using test::eventually;
using test::ForeignProcess;
using test::output_of;

/// A speaker `there` that watches both addresses of `here`.
class Speaker {
 public:
  virtual ~Speaker() = default;
  /// Its intervals of both directions, by its own Poll Sequence.
  virtual void change_interval(int ms) = 0;
  /// It believes that the session with 10.9.0.1 is up, with intervals of our wishing.
  [[nodiscard]] virtual bool sees_our_interval(int ms) = 0;
  virtual void die() = 0;
};

class Bird : public Speaker {
 public:
  Bird(test::NetworkNamespace& where, std::string authentication)
      : where_(where), authentication_(std::move(authentication)) {
    configure(50);
    process_.emplace(where,
                     std::vector<std::string>{"bird", "-f", "-c", files_.at("bird.conf"), "-s", files_.at("ctl"), "-P",
                                              files_.at("pid")},
                     files_.at("log"));
  }
  void change_interval(int ms) override {
    configure(ms);
    const auto told = inside("birdc -s " + files_.at("ctl") + " configure");
    EXPECT_NE(told.find("Reconfigured"), std::string::npos) << told;
  }
  [[nodiscard]] bool sees_our_interval(int ms) override {
    std::istringstream lines(inside("birdc -s " + files_.at("ctl") + " show bfd sessions"));
    char wanted[16];
    std::snprintf(wanted, sizeof wanted, "0.%03d", ms);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("10.9.0.1 ")) { return line.find(" Up ") != line.npos && line.find(wanted) != line.npos; }
    }
    return false;
  }
  void die() override { process_.reset(); }

 private:
  std::string inside(const std::string& command) {
    std::string out;
    where_.run([&] { out = output_of(command); });
    return out;
  }
  void configure(int ms) {
    const auto interval = std::to_string(ms);
    files_.write("bird.conf",
                 "router id 10.9.0.2;\n"
                 "protocol device {}\n"
                 "protocol bfd {\n"
                 "  interface \"vb\" {\n"
                 "    min rx interval " +
                     interval + " ms; min tx interval " + interval + " ms; multiplier 3;\n" + authentication_ +
                     "  };\n"
                     "  neighbor 10.9.0.1 dev \"vb\" local 10.9.0.2;\n"
                     "  neighbor fd09::1 dev \"vb\" local fd09::2;\n"
                     "}\n");
  }

  test::NetworkNamespace& where_;
  std::string authentication_;
  test::ScratchDirectory files_;
  std::optional<ForeignProcess> process_;
};

/// bfdd hears of interfaces from zebra, so that runs too. Both give up root, so the directory is theirs.
class Frr : public Speaker {
 public:
  explicit Frr(test::NetworkNamespace& where) : where_(where) {
    chmod(files_.path().c_str(), 0777);
    std::string peers = "bfd\n";
    for (const std::string peer : {"10.9.0.1 local-address 10.9.0.2", "fd09::1 local-address fd09::2"}) {
      peers += " peer " + peer + " interface vb\n  receive-interval 50\n  transmit-interval 50\n exit\n";
    }
    files_.write("bfdd.conf", peers + "exit\n");
    zebra_.emplace(where, daemon("zebra", "/dev/null"), files_.at("zebra.log"));
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(files_.at("zserv")); })) << files_.read("zebra.log");
    auto words = daemon("bfdd", files_.at("bfdd.conf"));
    words.insert(words.end(), {"--bfdctl", files_.at("bfdctl")});
    bfdd_.emplace(where, words, files_.at("bfdd.log"));
  }
  void change_interval(int ms) override {
    const auto interval = std::to_string(ms);
    vtysh(
        "-c 'configure terminal' -c bfd -c 'peer 10.9.0.1 local-address 10.9.0.2 interface vb' -c 'receive-interval " +
        interval + "' -c 'transmit-interval " + interval + "'");
  }
  [[nodiscard]] bool sees_our_interval(int ms) override {
    const auto told = vtysh("-c 'show bfd peer 10.9.0.1 local-address 10.9.0.2 interface vb json'");
    return told.find("\"status\":\"up\"") != told.npos &&
           told.find("\"remote-receive-interval\":" + std::to_string(ms) + ",") != told.npos;
  }
  void die() override { bfdd_.reset(); }

 private:
  [[nodiscard]] std::vector<std::string> daemon(const std::string& name, const std::string& config) const {
    return {"/usr/lib/frr/" + name,
            "-f",
            config,
            "-i",
            files_.at(name + ".pid"),
            "-z",
            files_.at("zserv"),
            "--vty_socket",
            files_.path(),
            "-A",
            "127.0.0.1",
            "-P",
            "0"};
  }
  std::string vtysh(const std::string& words) {
    std::string out;
    where_.run([&] { out = output_of("vtysh --vty_socket " + files_.path() + " -d bfdd " + words); });
    return out;
  }

  test::NetworkNamespace& where_;
  test::ScratchDirectory files_;
  std::optional<ForeignProcess> zebra_, bfdd_;
};

/// BFD on `here`'s end of the cable, as tcpdump saw it and tshark reads it.
class Capture {
 public:
  explicit Capture(test::NetworkNamespace& where)
      : tcpdump_(where, {"tcpdump", "-i", "va", "-U", "-w", files_.at("pcap"), "udp", "port", "3784"},
                 files_.at("log")) {
    EXPECT_TRUE(eventually([&] { return files_.read("log").find("listening on") != std::string::npos; }))
        << files_.read("log");
  }
  /// The fields of each packet, one packet a line.
  std::vector<std::string> packets(const std::string& fields) {
    tcpdump_.end(SIGTERM);
    std::istringstream lines(
        output_of("(tshark -r " + files_.at("pcap") + " -T fields -E separator=, " + fields + " 2>/dev/null)"));
    std::vector<std::string> out;
    for (std::string line; std::getline(lines, line);) { out.push_back(line); }
    return out;
  }

 private:
  test::ScratchDirectory files_;
  ForeignProcess tcpdump_;
};

struct Case {
  const char* name;
  Authentication authentication;
  std::string bird;       ///< its authentication, as BIRD is told
  const char* dissected;  ///< what tshark says of each packet, see check_packets()
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

std::string bird_password(const char* type, const char* password, int id) {
  return std::string("    authentication ") + type + "; password \"" + password + "\" { id " + std::to_string(id) +
         "; };\n";
}

class BfdInterop : public BfdNetwork {
 protected:
  /// What every pair must do: come up, agree on timers, change them from both ends, see failures at both ends.
  void check(Speaker& speaker, const Authentication& authentication, const std::string& dissected) {
    Capture capture(here);
    Node a(here, {here4, here6});
    ASSERT_TRUE(a.service);
    PeerOptions options;
    options.authentication = authentication;
    here.run([&] {
      ASSERT_TRUE(a.service->add_peer(there4, options).ok());
      ASSERT_TRUE(a.service->add_peer(there6, options).ok());
    });
    for (const auto& peer : {there4, there6}) { ASSERT_TRUE(a.wait_for(peer, SessionState::Up)) << peer.to_string(); }
    const auto agreed = [&](Duration interval, Duration detection) {
      return eventually([&] {
        const auto status = a.service->status(there4);
        return status->transmit_interval == interval && status->detection_time == detection;
      });
    };
    EXPECT_TRUE(agreed(50ms, 150ms));

    speaker.change_interval(80);
    EXPECT_TRUE(agreed(80ms, 240ms)) << "its Poll Sequence";
    ASSERT_TRUE(a.service->set_times(there4, 120ms, 3).ok());
    EXPECT_TRUE(eventually([&] { return speaker.sees_our_interval(120); })) << "our Poll Sequence";
    EXPECT_TRUE(agreed(120ms, 360ms));
    EXPECT_EQ(a.service->status(there4)->state, SessionState::Up);
    EXPECT_EQ(a.last_of(there4).change.to, SessionState::Up) << "no change took the session down";

    there.run([] { ASSERT_EQ(std::system(deaf), 0); });
    EXPECT_TRUE(a.wait_for(there4, SessionState::Down));
    EXPECT_EQ(a.last_of(there4).change.diagnostic, Diagnostic::NeighborSignaledDown);
    EXPECT_EQ(a.last_of(there4).change.remote_diagnostic, 1) << "its detection time, told by itself";
    there.run([] { ASSERT_EQ(std::system("nft delete table inet deaf"), 0); });
    EXPECT_TRUE(a.wait_for(there4, SessionState::Up));

    speaker.die();
    for (const auto& peer : {there4, there6}) {
      EXPECT_TRUE(a.wait_for(peer, SessionState::Down));
      EXPECT_EQ(a.last_of(peer).change.diagnostic, Diagnostic::DetectionTimeExpired);
    }
    EXPECT_TRUE(a.refusals.empty()) << to_string(a.refusals.front());
    check_packets(capture, dissected);
  }

  /// Of each packet: what is malformed, what the dissector remarks, version, length, type and length of the section.
  static void check_packets(Capture& capture, const std::string& dissected) {
    const auto packets = capture.packets(
        "-e _ws.malformed -e _ws.expert.message -e bfd.version -e bfd.message_length -e bfd.auth.type -e bfd.auth.len");
    EXPECT_GT(packets.size(), 20u);
    for (const auto& packet : packets) { EXPECT_EQ(packet, dissected); }
    const auto sources = capture.packets("-e ip.src -e ipv6.src");
    for (const std::string source : {"10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2"}) {
      EXPECT_TRUE(std::any_of(sources.begin(), sources.end(), [&](const auto& one) {
        return one.find(source) != one.npos;
      })) << source;
    }
  }

  /// BFD packets no longer reach the speaker; its own still go out.
  static constexpr const char* deaf =
      "nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority 0; }; "
      "add rule inet deaf in udp dport 3784 drop'";
};

class BfdInteropWithBird : public BfdInterop, public testing::WithParamInterface<Case> {};

TEST_P(BfdInteropWithBird, ComesUpAgreesOnTimersAndSeesFailuresBothWays) {
  UNDERSTUDY_NEEDS_PROGRAMS({"bird", "birdc", "tcpdump", "tshark"});
  Bird bird(there, GetParam().bird);
  check(bird, GetParam().authentication, GetParam().dissected);
}

INSTANTIATE_TEST_SUITE_P(Authentication, BfdInteropWithBird,
                         testing::Values(Case{"None", {}, "", ",,1,24,,"},
                                         Case{"Sha1",
                                              {BfdAuthentication::Sha1, 7, "router-key"},
                                              bird_password("keyed sha1", "router-key", 7),
                                              ",,1,52,4,28"},
                                         Case{"MeticulousSha1",
                                              {BfdAuthentication::MeticulousSha1, 1, "twenty-bytes-of-key!"},
                                              bird_password("meticulous keyed sha1", "twenty-bytes-of-key!", 1),
                                              ",,1,52,5,28"}),
                         [](const auto& one) { return one.param.name; });

TEST_F(BfdInterop, WithFrrComesUpAgreesOnTimersAndSeesFailuresBothWays) {
  UNDERSTUDY_NEEDS_PROGRAMS({"/usr/lib/frr/bfdd", "vtysh", "tcpdump", "tshark"});
  Frr frr(there);
  check(frr, {}, ",,1,24,,");
}

TEST_F(BfdInterop, ABirdWithAPasswordComesUpAndOneWithAnotherKeyDoesNot) {
  UNDERSTUDY_NEEDS_PROGRAMS({"bird"});
  Bird bird(there, bird_password("simple", "sesame", 3));
  Node a(here, {here4, here6});
  ASSERT_TRUE(a.service);
  PeerOptions right, wrong;
  right.authentication = {BfdAuthentication::Simple, 3, "sesame"};
  wrong.authentication = {BfdAuthentication::Simple, 3, "Sesame"};
  here.run([&] {
    ASSERT_TRUE(a.service->add_peer(there4, right).ok());
    ASSERT_TRUE(a.service->add_peer(there6, wrong).ok());
  });
  EXPECT_TRUE(a.wait_for(there4, SessionState::Up));
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(a.mutex);
    return a.refusals == std::vector{Discard::AuthenticationFailed};
  }));
  EXPECT_EQ(a.service->status(there6)->state, SessionState::Down);
}

void needs_what_is_not_there() { UNDERSTUDY_NEEDS_PROGRAMS({"sh", "no-such-program-1", "no-such-program-2"}); }

TEST(MissingPrograms, FailATestWhereEverythingIsInstalled) {
  const char* before = std::getenv("UNDERSTUDY_INSTALLED");
  setenv("UNDERSTUDY_INSTALLED", "1", 1);
  EXPECT_FATAL_FAILURE(needs_what_is_not_there(), "no-such-program-1, no-such-program-2: not installed");
  if (before == nullptr) { unsetenv("UNDERSTUDY_INSTALLED"); }
}

}  // namespace
}  // namespace understudy::link::bfd
