// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A real etcd of some members on the loopback of the test's network namespace.
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>

#include "child.hpp"
#include "edge/etcd_client.hpp"
#include "support/eventually.hpp"

namespace understudy::test {

/// etcd's own certificates: they name addresses, unlike a chassis's. A member's is also the one that its JSON gateway
/// shows to the member itself, so it is good for clients as well.
class EtcdPki {
 public:
  explicit EtcdPki(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    run("req -x509 " + kKey + "-keyout ca.key -out ca.crt -days 3 -subj /CN=ca");
    issue("member", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth");
    issue("client", "extendedKeyUsage=clientAuth");
  }
  void issue(const std::string& name, const std::string& extensions) {
    std::ofstream(folder_ + "/extensions") << extensions << "\n";
    run("req -new " + kKey + "-keyout " + name + ".key -out " + name + ".csr -subj /CN=" + name);
    run("x509 -req -in " + name + ".csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3 -extfile extensions -out " +
        name + ".crt");
  }
  [[nodiscard]] std::string file(const std::string& name) const { return folder_ + "/" + name; }

 private:
  void run(const std::string& arguments) const {
    EXPECT_EQ(std::system(("cd " + folder_ + " && openssl " + arguments + " 2>openssl.log").c_str()), 0) << arguments;
  }
  const std::string kKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes ";
  std::string folder_;
};

class EtcdCluster {
 public:
  /// `pki`: clients and members speak TLS; clients must show a certificate.
  EtcdCluster(unsigned members, std::string folder, const EtcdPki* pki = nullptr)
      : folder_(std::move(folder)), pki_(pki) {
    std::filesystem::create_directories(folder_);
    for (unsigned i = 0; i < members; ++i) { peers_ += (i == 0 ? "" : ",") + name(i) + "=" + peer_url(i); }
    for (unsigned i = 0; i < members; ++i) { members_.emplace_back(); }
    for (unsigned i = 0; i < members; ++i) { start(i); }
    EXPECT_TRUE(answers()) << "etcd does not come up";
  }

  void start(unsigned i) {
    const std::string client = client_url(i);
    std::vector<std::string> words{"/usr/bin/etcd",
                                   "--name",
                                   name(i),
                                   "--data-dir",
                                   folder_ + "/" + name(i),
                                   "--listen-client-urls",
                                   client + (pki_ == nullptr ? "" : "," + misnamed_url()),
                                   "--advertise-client-urls",
                                   client,
                                   "--listen-peer-urls",
                                   peer_url(i),
                                   "--initial-advertise-peer-urls",
                                   peer_url(i),
                                   "--initial-cluster",
                                   peers_,
                                   "--log-level",
                                   "error"};
    if (pki_ != nullptr) {
      words.insert(words.end(), {"--client-cert-auth", "--trusted-ca-file", pki_->file("ca.crt"), "--cert-file",
                                 pki_->file("member.crt"), "--key-file", pki_->file("member.key")});
    }
    members_[i].emplace(words, folder_ + "/" + name(i) + ".log");
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
    if (pki_ != nullptr) {
      settings.ca = pki_->file("ca.crt");
      settings.certificate = pki_->file("client.crt");
      settings.key = pki_->file("client.key");
    }
    return settings;
  }

  /// A member is there, under an address that its certificate does not name.
  static std::string misnamed_url() { return "https://127.0.0.2:2379"; }

 private:
  static std::string name(unsigned i) { return "m" + std::to_string(i); }
  [[nodiscard]] std::string client_url(unsigned i) const {
    return (pki_ == nullptr ? "http" : "https") + std::string("://127.0.0.1:") + std::to_string(2379 + 10 * i);
  }
  static std::string peer_url(unsigned i) { return "http://127.0.0.1:" + std::to_string(2380 + 10 * i); }

  std::string folder_;
  const EtcdPki* pki_;
  std::string peers_;
  std::deque<std::optional<Child>> members_;
};

}  // namespace understudy::test
