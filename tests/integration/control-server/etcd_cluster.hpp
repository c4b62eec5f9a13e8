// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A real etcd of some members on the loopback of the test's network namespace.
#include <deque>
#include <filesystem>
#include <optional>

#include "child.hpp"
#include "edge/etcd_client.hpp"
#include "support/eventually.hpp"

namespace understudy::test {

class EtcdCluster {
 public:
  EtcdCluster(unsigned members, std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    for (unsigned i = 0; i < members; ++i) { peers_ += (i == 0 ? "" : ",") + name(i) + "=" + peer_url(i); }
    for (unsigned i = 0; i < members; ++i) { members_.emplace_back(); }
    for (unsigned i = 0; i < members; ++i) { start(i); }
    EXPECT_TRUE(answers()) << "etcd does not come up";
  }

  void start(unsigned i) {
    const std::string client = client_url(i);
    members_[i].emplace(
        std::vector<std::string>{"/usr/bin/etcd", "--name", name(i), "--data-dir", folder_ + "/" + name(i),
                                 "--listen-client-urls", client, "--advertise-client-urls", client,
                                 "--listen-peer-urls", peer_url(i), "--initial-advertise-peer-urls", peer_url(i),
                                 "--initial-cluster", peers_, "--log-level", "error"},
        folder_ + "/" + name(i) + ".log");
  }
  void kill(unsigned i) { members_[i]->kill_now(); }
  void signal(unsigned i, int number) { members_[i]->signal(number); }

  /// With a quorum: what is read has to be the last word.
  [[nodiscard]] bool answers() {
    control::EtcdClient client(settings());
    return eventually([&] { return client.call("kv/range", {{"key", "eA=="}}).ok(); });
  }
  [[nodiscard]] control::EtcdSettings settings() const {
    control::EtcdSettings settings;
    settings.prefix = "understudy/test";
    for (unsigned i = 0; i < members_.size(); ++i) { settings.endpoints.push_back(client_url(i)); }
    settings.lease = std::chrono::seconds(3);
    return settings;
  }

 private:
  static std::string name(unsigned i) { return "m" + std::to_string(i); }
  static std::string client_url(unsigned i) { return "http://127.0.0.1:" + std::to_string(2379 + 10 * i); }
  static std::string peer_url(unsigned i) { return "http://127.0.0.1:" + std::to_string(2380 + 10 * i); }

  std::string folder_;
  std::string peers_;
  std::deque<std::optional<Child>> members_;
};

}  // namespace understudy::test
