// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Two played blades, a real Linux bridge as their switch, and the real operator's command, in a network namespace that
/// ends with the test.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <optional>

#include "played_blade.hpp"
#include "support/run_until.hpp"
#include "understudy/net/gate.hpp"

namespace understudy {

class PlayedChassisTest : public testing::Test, protected test::Loop {
 protected:
  explicit PlayedChassisTest(const std::string& name)
      : folder_(testing::TempDir() + name + "_" + std::to_string(getpid())) {}

  static void SetUpTestSuite() {
    if (geteuid() != 0) { GTEST_SKIP() << "needs root for its network namespace"; }
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(std::system("ip link set lo up && ip link add br0 type bridge && ip link set br0 up && "
                          "ip link add b1-ext type veth peer b1 && ip link set b1-ext master br0 up && "
                          "ip link add b2-ext type veth peer b2 && ip link set b2-ext master br0 up"),
              0);
  }
  void SetUp() override {
    if (geteuid() != 0) { GTEST_SKIP() << "needs root for its network namespace"; }
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    auto isolation = net::SwitchIsolation::attach();
    ASSERT_TRUE(isolation.ok()) << isolation.error().message;
    isolation_.emplace(std::move(isolation).value());
    (void)isolation_->readmit({"b1-ext", "b2-ext"});
    pki_.emplace();
    operator_files_ = pki_->issue(tls::Kind::Operator, "alice");
    active_.emplace(io_, 1, folder_, *pki_);
    standby_.emplace(io_, 2, folder_, *pki_);
  }
  void TearDown() override {
    active_.reset();
    standby_.reset();
    std::filesystem::remove_all(folder_);
  }
  static void show_if_failed(const std::string& log) {
    std::ifstream text(log);
    if (HasFailure() && text) { std::cerr << log << ":\n" << text.rdbuf(); }
  }

  /// The operator's command, for the control-server with this address, as a shell is given it.
  [[nodiscard]] std::string operator_at(const std::string& control, const std::string& arguments) const {
    const auto& files = operator_files_;
    const std::string wire =
        files.key.empty() ? " --plain-text "
                          : " --ca " + files.ca + " --certificate " + files.certificate + " --key " + files.key + " ";
    return std::string(OPERATOR) + " --control " + control + wire + arguments;
  }
  /// Output of the operator's command at the control-server with this address; `status` gets its exit status.
  [[nodiscard]] std::string operate_at(const std::string& control, const std::string& arguments, int* status) const {
    FILE* pipe = popen((operator_at(control, arguments) + " 2>&1").c_str(), "re");
    std::string output;
    char buffer[4096];
    while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe)) { output.append(buffer, got); }
    const int ended = pclose(pipe);
    if (status != nullptr) { *status = WEXITSTATUS(ended); }
    return output;
  }

  /// An active that does what it is told.
  static void serve(Blade& blade) {
    blade.obey = [&blade](const Order& order) {
      if (const auto* serve = std::get_if<ServeRole>(&order)) {
        blade.held = {{serve->spec.id, serve->term, PlaceKind::Host, true}};
        blade.client->send(Serving{serve->spec.id, serve->term});
      }
    };
  }

  const std::string folder_;
  std::optional<test::Pki> pki_;
  tls::CredentialFiles operator_files_;  ///< none: plain text
  std::optional<net::SwitchIsolation> isolation_;
  std::optional<Blade> active_;
  std::optional<Blade> standby_;
  bool isolated_at_activation_ = false;
};

}  // namespace understudy
