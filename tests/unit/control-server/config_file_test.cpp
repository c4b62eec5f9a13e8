// SPDX-License-Identifier: Apache-2.0
/// What can be said of group.toml from the file alone.
/// Covers: control-server/edge/config_etcd.cpp, control-server/edge/config_role.cpp,
/// control-server/edge/config_values.cpp, control-server/edge/config_witness.cpp
#include "edge/config_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace understudy::control {
namespace {

constexpr const char* kGood = R"([control]
listen = "192.168.1.250:7400"
state = "/var/lib/understudy/control.db"

[detection]
bfd_interval_ms = 20
bfd_multiplier = 4
link_down_ms = 900
agent_restart_ms = 15000

[movement]
policy = "always"
delay_ms = 500

[switch]
driver = "linux-bridge"
netns = "us-lab-switch"

[power]
driver = "command"
command = ["/usr/sbin/power", "--quiet"]

[[blade]]
name = "blade-1"
address = "192.168.1.1"
switch_ports = ["b1-ext", "b1-int"]
standby = false

[[blade]]
name = "blade-2"
address = "192.168.1.2"
switch_ports = ["b2-ext", "b2-int1"]
standby = true

[[role]]
name = "role-1"
number = 1
active = "blade-1"
region_mib = 16
flow_capacity = 16384
mirror_address = "192.168.1.41/24"
mirror_mac = "02:e2:00:00:00:01"
mirror_memory_mib = 192
ruleset_file = "role-1.nft"
[[role.port]]
name = "ext"
network = "external"
mac = "02:e0:00:00:00:01"
addresses = ["10.23.4.121/24", "fd00:23:4::121/64"]
[[role.port]]
name = "int"
network = "intranet-1"
mac = "02:e1:00:00:00:01"
addresses = ["10.50.1.1/24", "fe80::1/64"]
[[role.route]]
destination = "0.0.0.0/0"
gateway = "10.23.4.1"
[role.sysctls]
"net.ipv4.ip_forward" = "1"
[role.health]
command = ["/usr/bin/check", "--all"]
interval_ms = 2000
deadline_ms = 700
failures = 5
[role.application]
name = "session-service"
command = ["/usr/bin/session-service", "--port", "80"]
store = "sessions"
journal_kib = 1024
[[role.application.table]]
name = "session"
key_bytes = 16
value_bytes = 64
capacity = 1000
[[role.application.table]]
name = "rules"
kind = "blob"
key_bytes = 8
value_bytes = 20000
capacity = 10
capacity_max = 40
[tls]
plain_text = true
)";

class ConfigFileTest : public testing::Test {
 protected:
  ConfigFileTest() : folder_(testing::TempDir() + "config_file_test_" + std::to_string(getpid())) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/role-1.nft") << "table inet role {}\n";
  }
  ~ConfigFileTest() override { std::filesystem::remove_all(folder_); }

  Result<ServerConfig> read(const std::string& text) {
    std::ofstream(path()) << text;
    return read_config(path());
  }
  /// The good file with one thing changed, and the message that must come of it.
  void expect_problem(const std::string& what, const std::string& instead, const std::string& words) {
    std::string text = kGood;
    const auto at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    text.replace(at, what.size(), instead);
    const auto config = read(text);
    ASSERT_FALSE(config.ok()) << words;
    const auto& message = config.error().message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
    EXPECT_EQ(message.rfind(path() + ":", 0), 0U) << "file and line first: " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << "one line: " << message;
  }
  [[nodiscard]] std::string path() const { return folder_ + "/group.toml"; }
  std::string folder_;
};

TEST_F(ConfigFileTest, AGoodFileIsReadWhole) {
  const auto read_one = read(kGood);
  ASSERT_TRUE(read_one.ok()) << read_one.error().message;
  const auto& config = read_one.value();
  EXPECT_EQ(config.listen, "192.168.1.250:7400");
  EXPECT_EQ(config.listen_address.to_string(), "192.168.1.250");
  EXPECT_EQ(config.switch_netns, "us-lab-switch");
  EXPECT_EQ(config.power_command.size(), 2U);
  const auto& group = config.group;
  EXPECT_EQ(group.bfd, (link::BfdParameters{20, 4}));
  EXPECT_EQ(group.timings.detection, std::chrono::milliseconds(80));
  EXPECT_EQ(group.timings.movement_delay, std::chrono::milliseconds(500));
  EXPECT_EQ(group.movement, link::MovementPolicy::Always);
  EXPECT_TRUE(group.has_power);
  EXPECT_TRUE(group.control_blade.empty());
  EXPECT_EQ(group.standbys(), std::vector<BladeId>{BladeId{"blade-2"}});
  ASSERT_EQ(group.roles.size(), 1U);
  const auto& spec = group.roles[0].spec;
  EXPECT_EQ(group.roles[0].active.value, "blade-1");
  EXPECT_EQ(spec.region_bytes, std::uint64_t{16} << 20);
  EXPECT_EQ(spec.ruleset, "table inet role {}\n");
  ASSERT_EQ(spec.ports.size(), 2U);
  EXPECT_EQ(spec.ports[1].addresses[1].to_string(), "fe80::1/64");
  EXPECT_EQ(spec.routes.size(), 1U);
  EXPECT_EQ(spec.sysctls, (std::vector<std::pair<std::string, std::string>>{{"net.ipv4.ip_forward", "1"}}));
  EXPECT_EQ(spec.application.journal_bytes, 1U << 20);
  EXPECT_EQ(spec.health, (link::HealthSpec{{"/usr/bin/check", "--all"}, 2000, 700, 5}));
  EXPECT_EQ(spec.link_down_ms, 900U);
  EXPECT_EQ(spec.application.tables[0].key_bytes, 16U);
  EXPECT_EQ(spec.application.tables[0].kind, 0U);
  EXPECT_EQ(spec.application.tables[1].kind, 1U);
  EXPECT_EQ(spec.application.tables[1].capacity_max, 40U);
  EXPECT_FALSE(spec.version.empty());
}

TEST_F(ConfigFileTest, ARolesMirrorIsTheStandbys) {
  EXPECT_EQ(read(kGood).value().group.roles.at(0).spec.mirror_blade, BladeId{"blade-2"});
}

TEST_F(ConfigFileTest, TheVersionChangesWithTheRuleSet) {
  const auto before = read(kGood).value().group.roles[0].spec.version;
  EXPECT_EQ(read(kGood).value().group.roles[0].spec.version, before);
  std::ofstream(folder_ + "/role-1.nft") << "table inet role { }\n";
  EXPECT_NE(read(kGood).value().group.roles[0].spec.version, before);
}

TEST_F(ConfigFileTest, BfdIsAuthenticatedAsTheFileSaysAndTheKeyIsReadWhereItIsUsed) {
  std::string text = kGood;
  text += "[bfd]\nauth = \"meticulous-sha1\"\nkey_id = 7\nkey_file = \"bfd.key\"\n";
  const auto config = read(text);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->group.bfd, (link::BfdParameters{20, 4, link::BfdAuthentication::MeticulousSha1, 7}));
  EXPECT_EQ(config->bfd_authentication.key, "") << "on any machine: the key is not there";
  expect_problem("[movement]", "[bfd]\nauth = \"md5\"\n[movement]", "is no BFD authentication");
}

TEST_F(ConfigFileTest, WhenABladeIsHeldOut) {
  const auto usual = read(kGood);
  ASSERT_TRUE(usual.ok()) << usual.error().message;
  EXPECT_EQ(usual->group.hold_out.failures, 3U);
  const auto chosen = read(std::string(kGood) + "[hold_out]\nfailures = 5\nwithin_s = 60\nfor_s = 0\n");
  ASSERT_TRUE(chosen.ok()) << chosen.error().message;
  EXPECT_EQ(chosen->group.hold_out.failures, 5U);
  EXPECT_EQ(chosen->group.hold_out.within, std::chrono::seconds(60));
  EXPECT_EQ(chosen->group.hold_out.lasts, Duration{0});
  expect_problem("[movement]", "[hold_out]\nfailures = -1\n[movement]", "\"failures\" in [hold_out] is wrong");
}

TEST_F(ConfigFileTest, LeasesAreOffUnlessTheFileWantsThem) {
  EXPECT_FALSE(read(kGood).value().group.leases);
  const std::string wanted = std::string(kGood) + "[leases]\nenabled = true\n";
  const auto config = read(wanted);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_TRUE(config->group.leases);
  expect_problem("[movement]", "[leases]\nenabled = 1\n[movement]", "\"enabled\" in [leases] is wrong");
  expect_problem("[movement]", "[leases]\nlength_s = 1\n[movement]", "unknown key \"length_s\"");
  std::string shared = wanted;
  shared.replace(shared.find("192.168.1.250:7400"), 18, "192.168.1.2:7400");
  const auto refused = read(shared);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("runs on the standby blade"), std::string::npos) << refused.error().message;
}

TEST_F(ConfigFileTest, WitnessesAreReadAndTheirMistakesTold) {
  const std::string icmp = "[[witness]]\nname = \"switch-a\"\naddress = \"192.168.1.254\"\nmethod = \"icmp\"\n";
  const std::string bfd =
      "[[witness]]\nname = \"router\"\naddress = \"192.168.1.253\"\nmethod = \"bfd\"\ninterval_ms = 100\n"
      "count = 5\n";
  EXPECT_TRUE(read(kGood).value().group.witnesses.empty());
  const auto config = read(std::string(kGood) + icmp + bfd);
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto& witnesses = config->group.witnesses;
  ASSERT_EQ(witnesses.size(), 2U);
  EXPECT_EQ(witnesses[0].name, "switch-a");
  EXPECT_EQ(witnesses[0].by, WitnessConfig::By::Icmp);
  EXPECT_EQ(witnesses[0].interval, std::chrono::milliseconds(20)) << "as [detection]";
  EXPECT_EQ(witnesses[0].count, 4U);
  EXPECT_EQ(witnesses[1].address.to_string(), "192.168.1.253");
  EXPECT_EQ(witnesses[1].by, WitnessConfig::By::Bfd);
  EXPECT_EQ(witnesses[1].interval, std::chrono::milliseconds(100));
  EXPECT_EQ(witnesses[1].count, 5U);
  EXPECT_EQ(config->group.timings.silence_window(), std::chrono::milliseconds(60));

  const auto wrong = [&](std::string table, const std::string& what, const std::string& instead,
                         const std::string& words) {
    table.replace(table.find(what), what.size(), instead);
    const auto refused = read(std::string(kGood) + table);
    ASSERT_FALSE(refused.ok()) << instead;
    EXPECT_NE(refused.error().message.find(words), std::string::npos) << refused.error().message;
    EXPECT_EQ(refused.error().message.find('\n'), std::string::npos) << refused.error().message;
  };
  wrong(icmp, "\"icmp\"", "\"ping\"", "\"ping\" is no way to ask a witness; write \"icmp\" or \"bfd\"");
  wrong(icmp, "method = \"icmp\"", "", "\"method\" is missing in [[witness]]");
  wrong(icmp, "192.168.1.254", "192.168.1.1", "address 192.168.1.1 is used twice: by blade-1 and by witness switch-a");
  wrong(icmp, "192.168.1.254", "192.168.1.250", "is used twice: by [control] listen and by witness switch-a");
  wrong(icmp, "192.168.1.254", "10.23.4.121", "address 10.23.4.121 is used twice");
  wrong(icmp, "192.168.1.254", "fe80::1", "fe80::1 means another machine on every interface");
  wrong(icmp, "192.168.1.254", "224.0.0.1", "224.0.0.1 is a multicast address");
  wrong(icmp, "192.168.1.254", "gateway", "\"address\":");
  wrong(icmp, "\"switch-a\"", "\"switch a\"", "\"switch a\" is no name");
  wrong(icmp, "method", "interval_ms = 9\nmethod", "\"interval_ms\" in [[witness]] is wrong");
  wrong(icmp, "method", "count = 0\nmethod", "\"count\" in [[witness]] is wrong");
  wrong(icmp, "method", "auth = \"none\"\nmethod", "unknown key \"auth\"");
  wrong(bfd, "192.168.1.253", "fd00::1", "BFD needs an address of the family of [control] listen, not fd00::1");
  wrong(icmp + bfd, "\"router\"", "\"switch-a\"", "witness switch-a is used twice");
  std::string many;
  for (int i = 0; i < 17; ++i) {
    many += "[[witness]]\nname = \"w" + std::to_string(i) + "\"\naddress = \"192.168.2." + std::to_string(i + 1) +
            "\"\nmethod = \"icmp\"\n";
  }
  wrong(many, "w0", "w0", "more than 16 [[witness]]");
}

TEST_F(ConfigFileTest, PrioritiesAreReadAndTheirMistakesTold) {
  EXPECT_EQ(read(kGood).value().group.roles.at(0).priority, kPriorityDefault);
  std::string chosen = kGood;
  chosen.replace(chosen.find("number = 1\n"), 11, "number = 1\npriority = 200\n");
  const auto config = read(chosen);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->group.roles.at(0).priority, 200U);
  for (const auto* wrong : {"0", "1001", "-1", "\"high\""}) {
    expect_problem("number = 1\n", (std::string("number = 1\npriority = ") + wrong + "\n").c_str(),
                   "\"priority\" in [[role]] is wrong");
  }
}

TEST_F(ConfigFileTest, TheStateIsInAFileOrInEtcd) {
  const std::string state = "state = \"/var/lib/understudy/control.db\"\n";
  EXPECT_FALSE(read(kGood).value().etcd);
  const std::string servers = "servers = [\"192.168.1.250:7400\", \"192.168.1.251:7400\"]\n";
  const std::string etcd = servers + "[control.etcd]\nendpoints = [\"https://192.168.1.250:2379\"]\n";
  const auto with = [&](const std::string& control) {
    std::string text = kGood;
    text.replace(text.find(state), state.size(), control);
    return read(text);
  };
  const auto config = with(etcd + "prefix = \"understudy/rack-7\"\nlease_s = 5\n");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_TRUE(config->state_path.empty());
  EXPECT_EQ(config->etcd->at("policy"), "understudy/rack-7/policy");
  EXPECT_EQ(config->etcd->lease, std::chrono::seconds(5));
  EXPECT_EQ(config->servers.size(), 2U);
  const auto refused = [&](const std::string& control, const std::string& words) {
    const auto wrong = with(control);
    ASSERT_FALSE(wrong.ok()) << control;
    EXPECT_NE(wrong.error().message.find(words), std::string::npos) << wrong.error().message;
  };
  refused(state + etcd, "remove state, or [control.etcd]");
  refused("[control.etcd]\nendpoints = [\"https://192.168.1.250:2379\"]\n", "\"servers\"");
  refused("servers = [\"192.168.1.251:7400\"]\n[control.etcd]\nendpoints = [\"https://a:1\"]\n", "is not among them");
  const auto endpoint = [&](const std::string& one) {
    return servers + "[control.etcd]\nendpoints = [\"" + one + "\"]\n";
  };
  refused(endpoint("http://192.168.1.250:2379"), "could decide who owns a role");
  EXPECT_TRUE(with(endpoint("http://192.168.1.250:2379") + "plain_text = true\n").ok());
  EXPECT_TRUE(with(endpoint("http://127.0.0.1:2379")).ok()) << "nobody is between";
  refused(endpoint("192.168.1.250:2379"), "is no endpoint");
  refused(etcd + "certificate = \"/a\"\n", "certificate and key go together");
  refused(etcd + "lease_s = 2\n", "lease_s");
  refused(etcd + "prefix = \"a/\"\n", "is no prefix");
}

TEST_F(ConfigFileTest, StandbysAreAListAndTheFirstIsUsed) {
  const std::string spare =
      "[[blade]]\nname = \"blade-0\"\naddress = \"192.168.1.9\"\nswitch_ports = [\"b9-ext\"]\nstandby = true\n";
  std::string text = kGood;
  text.insert(text.find("[[role]]"), spare);
  const auto several = read(text);
  ASSERT_TRUE(several.ok()) << several.error().message;
  const auto& group = several.value().group;
  EXPECT_EQ(group.standbys(), (std::vector<BladeId>{BladeId{"blade-2"}, BladeId{"blade-0"}})) << "as in the file";
  EXPECT_EQ(group.roles.at(0).spec.mirror_blade, BladeId{"blade-2"});
}

TEST_F(ConfigFileTest, AControlServerOnTheStandbyIsKnownAsSuch) {
  std::string text = kGood;
  text.replace(text.find("192.168.1.250:7400"), 18, "192.168.1.2:7400");
  EXPECT_TRUE(read(text).value().group.control_shares(BladeId{"blade-2"}));
  // At an address of its own, beside the host-agent's.
  text = kGood;
  text.insert(text.find("state ="), "blade = \"blade-2\"\n");
  EXPECT_TRUE(read(text).value().group.control_shares(BladeId{"blade-2"}));
  text.replace(text.find("blade = \"blade-2\""), 17, "blade = \"blade-1\"");
  EXPECT_FALSE(read(text).value().group.control_shares(BladeId{"blade-2"}));
  text.replace(text.find("blade = \"blade-1\""), 17, "blade = \"blade-9\"");
  EXPECT_NE(read(text).error().message.find("there is no blade \"blade-9\""), std::string::npos);
}

TEST_F(ConfigFileTest, EveryMistakeIsOneLineWithFileAndLine) {
  const std::vector<std::array<const char*, 3>> mistakes = {
      {"listen = \"192.168.1.250:7400\"", "listen = \"somewhere\"", "\"somewhere\" is no ADDRESS:PORT"},
      {"192.168.1.250:7400", "192.168.1.250:0", "is no ADDRESS:PORT with a port from 1 to 65535"},
      {"192.168.1.250:7400", "192.168.1.250:99999", "is no ADDRESS:PORT with a port from 1 to 65535"},
      {"192.168.1.250:7400", "0.0.0.0:7400", "0.0.0.0 is the address of no host; write the address of one host"},
      {"listen = \"192.168.1.250:7400\"", "", "\"listen\" is missing in [control]"},
      {"state = \"/var", "stat = \"/var", "\"state\" is missing in [control]"},
      {"bfd_interval_ms = 20", "bfd_interval_ms = 0", "\"bfd_interval_ms\" in [detection] is wrong"},
      {"bfd_multiplier = 4", "bfd_multipler = 4", "unknown key \"bfd_multipler\""},
      {"policy = \"always\"", "policy = \"sometimes\"", "\"sometimes\" is no movement policy"},
      {"driver = \"linux-bridge\"", "driver = \"cisco\"", "\"cisco\" is no switch driver"},
      {"driver = \"command\"\ncommand = [\"/usr/sbin/power\", \"--quiet\"]", "driver = \"command\"",
       "\"command\" is missing in [power]"},
      {"driver = \"command\"", "driver = \"ipmi\"", "\"ipmi\" is no power driver"},
      {"name = \"blade-2\"", "name = \"blade-1\"", "blade blade-1 is used twice"},
      {"name = \"blade-2\"", "name = \"blade 2\"", "\"blade 2\" is no name"},
      {"address = \"192.168.1.2\"", "address = \"192.168.1.1\"",
       "address 192.168.1.1 is used twice: by blade-1 and by blade-2; write another one for blade-2"},
      {"address = \"192.168.1.2\"", "address = \"224.0.0.5\"", "224.0.0.5 is a multicast address"},
      {"address = \"192.168.1.2\"", "address = \"192.168.1\"", "\"address\":"},
      {"address = \"192.168.1.2\"", "address = \"fd00::2\"", "BFD needs an address of the family of [control] listen"},
      {"switch_ports = [\"b2-ext\", \"b2-int1\"]", "switch_ports = [\"b1-ext\"]", "switch port b1-ext is used twice"},
      {"switch_ports = [\"b2-ext\", \"b2-int1\"]", "switch_ports = []", "\"switch_ports\" in [[blade]] is wrong"},
      {"standby = true", "standby = false", "no [[blade]] has standby = true"},
      {"standby = false", "standby = true", "blade-1 is a standby"},
      {"active = \"blade-1\"", "active = \"blade-7\"", "there is no [[blade]] named \"blade-7\""},
      {"active = \"blade-1\"", "active = \"blade-2\"", "blade-2 is a standby"},
      {"region_mib = 16", "region_mib = 17", "region_mib = 17 is no power of two; write 32"},
      {"region_mib = 16", "region_mib = 1048576", "a power of two, 1 to 65536"},
      {"region_mib = 16", "region_mib = 4", "region_mib = 4 is too small for 16384 flows"},
      {"region_mib = 16", "region_mib = \"16\"", "\"region_mib\" in [[role]] is wrong"},
      {"flow_capacity = 16384", "flow_capacity = 100000000", "is too small for 100000000 flows"},
      {"capacity = 1000\n", "capacity = 100000000\n", "region_mib = 16 is too small"},
      {"store = \"sessions\"", "store = \"net\"", "no region holds what role-1 asks for"},
      {"mirror_address = \"192.168.1.41/24\"", "mirror_address = \"192.168.1.1/24\"",
       "address 192.168.1.1 is used twice: by blade-1 and by role-1's mirror"},
      {"mirror_mac = \"02:e2:00:00:00:01\"", "mirror_mac = \"02:e0:00:00:00:01\"",
       "MAC 02:e0:00:00:00:01 is used twice"},
      {"mirror_address = \"192.168.1.41/24\"", "mirror_address = \"192.168.1.250/24\"",
       "address 192.168.1.250 is used twice: by [control] listen and by role-1's mirror; write another one for"},
      {"mirror_address = \"192.168.1.41/24\"", "mirror_address = \"fd00::41/64\"", "are of different families"},
      {"10.23.4.121/24", "192.168.1.250/24", "is used twice: by [control] listen and by role-1 port ext"},
      {"10.23.4.121/24", "10.23.4.0/24", "10.23.4.0/24 is the address of its whole network"},
      {"10.23.4.121/24", "10.23.4.255/24", "10.23.4.255/24 is the broadcast address of its network"},
      {"10.23.4.121/24", "224.0.0.1/24", "224.0.0.1/24 is a multicast address"},
      {"fd00:23:4::121/64", "ff02::1/64", "ff02::1/64 is a multicast address"},
      {"fd00:23:4::121/64", "fd00:23:4::/64", "fd00:23:4::/64 is the address of its whole network"},
      {"mirror_mac = \"02:e2:00:00:00:01\"", "mirror_mac = \"02:e2\"", "\"mirror_mac\":"},
      {"mirror_mac = \"02:e2:00:00:00:01\"", "mirror_mac = \"02:E0:00:00:00:01\"",
       "MAC 02:e0:00:00:00:01 is used twice: by role-1's mirror and by role-1 port ext; write another one for"},
      {"mac = \"02:e0:00:00:00:01\"", "mac = \"01:e0:00:00:00:01\"", "01:e0:00:00:00:01 is a multicast MAC; write"},
      {"mac = \"02:e0:00:00:00:01\"", "mac = \"00:00:00:00:00:00\"", "is the MAC of no interface; write"},
      {"network = \"intranet-1\"", "network = \"external\"",
       "network of role-1 external is used twice: by role-1 port"},
      {"ruleset_file = \"role-1.nft\"", "ruleset_file = \"role-9.nft\"", "cannot read the rule set"},
      {"ruleset_file = \"role-1.nft\"", "ruleset_file = \".\"", "cannot read the rule set"},
      {"\"10.50.1.1/24\", \"fe80::1/64\"", "\"10.23.4.121/24\"", "address 10.23.4.121 is used twice"},
      {"\"10.50.1.1/24\", \"fe80::1/64\"", "\"10.50.1.1/33\"", "\"addresses\":"},
      {"name = \"int\"", "name = \"ext\"", "port of role-1 ext is used twice"},
      {"gateway = \"10.23.4.1\"", "gateway = \"fd00::1\"", "are of different families"},
      {"journal_kib = 1024", "journal_kib = 1000", "journal_kib = 1000 is no power of two; write 1024"},
      {"store = \"sessions\"", "", "tables without a store"},
      {"kind = \"blob\"", "kind = \"heap\"", "kind = \"heap\" is none; write \"hashed\", \"blob\" or \"dense\""},
      {"capacity_max = 40", "capacity_max = 9", "capacity_max 9 is not above the capacity"},
      {"command = [\"/usr/bin/check\", \"--all\"]", "command = [\"check\"]", "\"check\" is not an absolute path"},
      {"command = [\"/usr/bin/check\", \"--all\"]", "", "\"command\" is missing in [health]"},
      {"interval_ms = 2000", "interval_ms = 50", "ms from one check to the next, 100 to 3600000"},
      {"deadline_ms = 700", "deadline_ms = 0", "\"deadline_ms\" in [health] is wrong"},
      {"failures = 5", "failures = 0", "\"failures\" in [health] is wrong"},
      {"failures = 5", "failure = 5", "unknown key \"failure\""},
      {"agent_restart_ms = 15000", "agent_restart_ms = 10", "\"agent_restart_ms\" in [detection] is wrong"},
      {"link_down_ms = 900", "link_down_ms = -1", "\"link_down_ms\" in [detection] is wrong"},
      {"key_bytes = 16", "key_bytes = 0", "\"key_bytes\" in [[table]] is wrong"},
      {"[[role]]\nname", "[[roll]]\nname", ""},
  };
  for (const auto& [what, instead, words] : mistakes) { expect_problem(what, instead, words); }
}

TEST_F(ConfigFileTest, ARuleSetThatNftablesRefusesIsToldWithItsLine) {
  const auto complaint = [&](const std::string& ruleset) {
    std::ofstream(folder_ + "/role-1.nft") << ruleset;
    const auto config = read(kGood);
    return config ? "none" : config.error().message;
  };
  const auto told = [&](const std::string& line) {
    return path() + ":43: nftables refuses " + folder_ + "/role-1.nft:" + line;
  };
  const auto garbage = complaint("table inet x {\n  {{{\n");
  EXPECT_TRUE(garbage.starts_with(told("2:3-3: Error: syntax error"))) << garbage;
  EXPECT_EQ(garbage.find('\n'), std::string::npos) << garbage;
  EXPECT_NE(complaint(std::string("table\0", 6)).find("is no text"), std::string::npos);
  EXPECT_EQ(complaint("table inet a\ndelete table inet a\ntable inet a { chain c { counter; }; }\n"), "none");
  if (geteuid() != 0) { GTEST_SKIP() << "only root may ask the kernel"; }
  const auto absent = complaint("delete table inet gateway\n");
  EXPECT_TRUE(absent.starts_with(told("1:"))) << absent;
  const auto jump = complaint("table inet x { chain c { jump nowhere; }; }\n");
  EXPECT_TRUE(jump.starts_with(told("1:"))) << jump;
}

TEST_F(ConfigFileTest, ARoleThatNoBladeWouldTakeIsTold) {
  const std::string told = "no blade can be told of role-1: ";
  expect_problem("\"net.ipv4.ip_forward\" = \"1\"", "\"net.ipv4.ip_forward\" = \"\\u0000\"",
                 told + "not valid on the wire: ServeRole.sysctl.value must be text without NUL bytes");
  std::string words = "command = [\"/usr/bin/session-service\"";
  for (int word = 0; word < 128; ++word) { words += ", \"x\""; }
  expect_problem("command = [\"/usr/bin/session-service\", \"--port\", \"80\"]", words + "]",
                 told + "not valid on the wire: ServeRole.application.command must be at most 128 entries");
  std::ofstream(folder_ + "/role-1.nft") << "# caf\xe9, as Latin-1 has it\ntable inet role {}\n";
  expect_problem("number = 1", "number = 2", ":43: " + told + "a text of it is not UTF-8");
}

TEST_F(ConfigFileTest, TwoRolesOnOneBladeAreRefused) {
  std::string text = kGood;
  const auto role = text.find("[[role]]");
  std::string second = text.substr(role, text.find("[tls]") - role);
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"role-1\"", "role-2\""}, {"number = 1", "number = 2"}}) {
    second.replace(second.find(from), from.size(), to);
  }
  const auto config = read(text + second);
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find(
                "active blade-1 is used twice: by role-1 and by role-2; write another one for role-2"),
            std::string::npos)
      << config.error().message;
}

TEST_F(ConfigFileTest, AFileThatIsNotThereIsAProblemOfTheSameForm) {
  EXPECT_NE(read_config("/nonexistent/group.toml")
                .error()
                .message.find("/nonexistent/group.toml:1: cannot be read: No such file or directory"),
            std::string::npos);
  EXPECT_EQ(read_config(folder_).error().message,
            folder_ + ":1: cannot be read: it is a directory; give the path of a readable file");
}

}  // namespace
}  // namespace understudy::control
