// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The real control-server and the real operator's command, with host-agents played by a test: in a network namespace
/// of its own, with a Linux bridge as the switch. What a blade says is played, what it suffers is real: its ports are
/// isolated in the kernel, its BFD dies by SIGKILL.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "played_chassis.hpp"

namespace understudy {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): a test's header

class ControlServerTest : public PlayedChassisTest {
 protected:
  ControlServerTest() : PlayedChassisTest("control_server_test") {}
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(PlayedChassisTest::SetUp());
    if (IsSkipped()) { return; }
    server_files_ = pki_->issue(tls::Kind::ControlServer, "control");
    start_server();
  }
  void TearDown() override {
    show_if_failed(folder_ + "/server.log");
    server_.reset();
    PlayedChassisTest::TearDown();
  }

  [[nodiscard]] std::string group_file() const {
    return played_group("listen = \"127.0.0.250:7400\"\nstate = \"" + state_folder_.value_or(folder_) +
                            "/control.db\"\n" + on_blade_,
                        server_files_) +
           witnesses_;
  }

  void start_server() {
    std::ofstream(folder_ + "/group.toml") << group_file();
    server_.emplace(std::vector<std::string>{CONTROL_SERVER, "--config", folder_ + "/group.toml"},
                    folder_ + "/server.log");
  }

  std::string operate(const std::string& arguments, int* status = nullptr) {
    return operate_at(std::string(kServer) + ":7400", arguments, status);
  }
  boost::json::value role_status() {
    boost::system::error_code error;
    const auto json = boost::json::parse(operate("status --json"), error);
    if (error) { return nullptr; }
    return json.at("roles").at(0);
  }
  /// Polls the status between turns of the loop.
  bool run_until_state(const std::string& state) {
    return run_until([&] {
      const auto role = role_status();
      return role.is_object() && role.at("state").as_string() == state;
    });
  }

  void obedient_standby() {
    standby_->obey = [this](const Order& order) {
      auto& client = *standby_->client;
      if (const auto* mirror = std::get_if<RunMirror>(&order)) {
        standby_->held = {{mirror->spec.id, mirror->term, PlaceKind::Mirror, false}};
        client.send(MirrorState{mirror->spec.id, mirror->term, MirrorPhase::Synced, "nonce", ""});
        client.send(PeerVote{mirror->spec.id, BladeId{"blade-1"}, Vote::Up});
      } else if (const auto* activate = std::get_if<Activate>(&order)) {
        isolated_at_activation_ = isolation_->are_isolated({"b1-ext"}).value();
        standby_->held = {{activate->role, activate->term, PlaceKind::Mirror, true}};
        client.send(Activated{activate->role, activate->term, {{"handover", 1.5}}});
      } else if (const auto* move = std::get_if<Move>(&order)) {
        standby_->held = {{move->role, move->term, PlaceKind::Host, true}};
        client.send(Moved{move->role, move->term, {{"prepare", 20}, {"freeze", 0.5}, {"resume", 1}}});
      } else if (std::holds_alternative<ReleaseMirrors>(order)) {
        client.send(MirrorsReleased{0, 250});
      }
    };
  }
  void bring_up() {
    serve(*active_);
    obedient_standby();
    active_->power_on();
    standby_->power_on();
    ASSERT_TRUE(run_until([&] {
      const auto role = role_status();
      return role.is_object() && role.at("protected").as_bool() && active_->got<ServeRole>() != nullptr &&
             operate("status --json").find("\"bfd\":\"unknown\"") == std::string::npos;
    })) << operate("status");
  }

  void lose_active() {
    active_->die();
    standby_->client->send(PeerVote{RoleId{"role-1"}, BladeId{"blade-1"}, Vote::Down});
  }
  bool run_until_detail(const std::string& words) {
    return run_until([&] {
      const auto role = role_status();
      return role.is_object() && role.at("detail").as_string().find(words) != boost::json::string::npos;
    });
  }

  std::optional<std::string> state_folder_;
  std::string on_blade_;               ///< a line of [control]
  std::string witnesses_;              ///< tables of group.toml
  tls::CredentialFiles server_files_;  ///< none: plain text
  std::optional<Child> server_;
};

}  // namespace understudy
