// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Two real control-servers and a real etcd, which they reach by TLS: the one that leads is killed by SIGKILL at a
/// point of kill_points.hpp and stays away, the other one has stood by.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "edge/etcd_values.hpp"
#include "etcd_cluster.hpp"
#include "kill_points.hpp"

namespace understudy {

class KilledLeaderTest : public KillSeriesTest {
 public:
  KilledLeaderTest() : KillSeriesTest("killed_leader_test") {}
  void kill_server() override {
    killed_ = leader();
    EXPECT_TRUE(leads(killed_)) << "this one led no more";
    servers_[killed_]->kill_now();
  }
  void go_on() override {
    ASSERT_TRUE(run_until([&] { return leads(1 - killed_); })) << "the one that stood by does not lead";
    EXPECT_GT(token_of(1 - killed_), token_of(killed_));
  }
  /// Whoever writes gets no answer.
  void hold_store() override {
    etcd_->signal(0, SIGSTOP);
    held_ = true;
  }
  /// A new life of etcd: what it had not read when the leader was killed is lost, whoever is quicker.
  void let_store_go() override {
    if (!std::exchange(held_, false)) { return; }
    etcd_->kill(0);
    etcd_->start(0);
    EXPECT_TRUE(etcd_->answers());
  }
  StoredRole stored() override {
    const auto read = reader_->call("kv/range", control::etcd::range_one(etcd_->settings().at("owner/role-1")));
    const auto found = read ? control::etcd::key_values(read.value()) : read.error();
    if (!found || found->empty()) { return {}; }
    const auto role = boost::json::parse(found->front().value);
    const auto number = [&role](const char* name) { return role.at(name).to_number<std::uint64_t>(); };
    return {number("term"), static_cast<PlaceKind>(number("kind")), number("reserved")};
  }
  bool has_logged(const std::string& words) override { return log_of(leader()).find(words) != std::string::npos; }

 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(KillSeriesTest::SetUp());
    if (IsSkipped()) { return; }
    etcd_pki_.emplace(folder_ + "/etcd-pki");
    etcd_.emplace(1, folder_ + "/etcd", &*etcd_pki_);
    reader_.emplace(etcd_->settings());
    for (const unsigned i : {0U, 1U}) { start_server(i); }
    for (auto* blade : {&*active_, &*standby_}) { blade->servers = {address(0), address(1)}; }
  }
  void TearDown() override {
    for (const unsigned i : {0U, 1U}) { show_if_failed(log_file(i)); }
    for (auto& server : servers_) { server.reset(); }
    reader_.reset();
    etcd_.reset();
    KillSeriesTest::TearDown();
  }
  std::string asked() const override { return address(0) + ":7400," + address(1) + ":7400"; }

 private:
  static std::string address(unsigned i) { return "127.0.0.25" + std::to_string(i); }
  [[nodiscard]] std::string log_file(unsigned i) const { return folder_ + "/server-" + std::to_string(i) + ".log"; }
  [[nodiscard]] std::string log_of(unsigned i) const {
    std::stringstream text;
    text << std::ifstream(log_file(i)).rdbuf();
    return text.str();
  }
  void start_server(unsigned i) {
    const auto number = std::to_string(i);
    const auto quoted = [](const std::string& name, const std::string& value) {
      return name + " = \"" + value + "\"\n";
    };
    const auto run_dir = folder_ + "/run-" + number;
    const auto file = folder_ + "/group-" + number + ".toml";
    std::filesystem::create_directories(run_dir);
    const auto etcd = etcd_->settings();
    std::ofstream(file) << played_group(
        quoted("listen", address(i) + ":7400") + "servers = [\"" + address(0) + ":7400\", \"" + address(1) +
            ":7400\"]\n" + quoted("run_dir", run_dir) + "[control.etcd]\nendpoints = [\"" + etcd.endpoints.front() +
            "\"]\nlease_s = 3\n" + quoted("prefix", etcd.prefix) + quoted("ca", etcd.ca) +
            quoted("certificate", etcd.certificate) + quoted("key", etcd.key),
        pki_->issue(tls::Kind::ControlServer, "control-" + number), switch_->settings());
    servers_[i].emplace(std::vector<std::string>{CONTROL_SERVER, "--config", file}, log_file(i));
  }
  /// Of its last lead; 0: it has never led.
  [[nodiscard]] std::uint64_t token_of(unsigned i) const {
    const auto text = log_of(i);
    const auto at = text.rfind(kLeads);
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + kLeads.size()));
  }
  [[nodiscard]] bool leads(unsigned i) const {
    const auto text = log_of(i);
    const auto won = text.rfind(kLeads);
    const auto lost = text.rfind("leads no more");
    return won != std::string::npos && (lost == std::string::npos || lost < won);
  }
  [[nodiscard]] unsigned leader() const { return token_of(1) > token_of(0) ? 1 : 0; }

  const std::string kLeads = "leads, under token ";
  std::optional<test::EtcdPki> etcd_pki_;
  std::optional<test::EtcdCluster> etcd_;
  std::optional<control::EtcdClient> reader_;
  std::optional<Child> servers_[2];
  unsigned killed_ = 0;
  bool held_ = false;
};

}  // namespace understudy
