// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The real control-server with its SQLite store, which is killed by SIGKILL at a point of kill_points.hpp and started
/// again.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>
#include <sstream>

#include "kill_points.hpp"

namespace understudy {

class KilledServerTest : public KillSeriesTest {
 public:
  KilledServerTest() : KillSeriesTest("killed_server_test") {}
  void kill_server() override { server_->kill_now(); }
  void go_on() override {
    server_.emplace(std::vector<std::string>{CONTROL_SERVER, "--config", folder_ + "/group.toml"},
                    folder_ + "/server.log");
  }
  /// Who writes waits for the one that is about to write.
  void hold_store() override {
    if (held_ != nullptr) { return; }
    ASSERT_EQ(sqlite3_open_v2(store().c_str(), &held_, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
    sqlite3_busy_timeout(held_, 20'000);
    ASSERT_EQ(sqlite3_exec(held_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(held_);
  }
  void let_store_go() override {
    sqlite3_close(held_);
    held_ = nullptr;
  }
  StoredRole stored() override {
    StoredRole role;
    sqlite3* reader = nullptr;
    sqlite3_stmt* rows = nullptr;
    EXPECT_EQ(sqlite3_open_v2(store().c_str(), &reader, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
    sqlite3_busy_timeout(reader, 20'000);
    if (sqlite3_prepare_v2(reader, "SELECT term, kind, reserved FROM ownership", -1, &rows, nullptr) == SQLITE_OK &&
        sqlite3_step(rows) == SQLITE_ROW) {
      role = {static_cast<std::uint64_t>(sqlite3_column_int64(rows, 0)),
              static_cast<PlaceKind>(sqlite3_column_int(rows, 1)),
              static_cast<std::uint64_t>(sqlite3_column_int64(rows, 2))};
    }
    sqlite3_finalize(rows);
    sqlite3_close(reader);
    return role;
  }
  bool has_logged(const std::string& words) override {
    std::ifstream log(folder_ + "/server.log");
    std::stringstream text;
    text << log.rdbuf();
    return text.str().find(words) != std::string::npos;
  }

 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(KillSeriesTest::SetUp());
    if (IsSkipped()) { return; }
    std::ofstream(folder_ + "/group.toml")
        << played_group("listen = \"127.0.0.250:7400\"\nstate = \"" + store() + "\"\n",
                        pki_->issue(tls::Kind::ControlServer, "control"), switch_->settings());
    go_on();
  }
  void TearDown() override {
    let_store_go();
    show_if_failed(folder_ + "/server.log");
    server_.reset();
    KillSeriesTest::TearDown();
  }
  std::string asked() const override { return std::string(kServer) + ":7400"; }

 private:
  [[nodiscard]] std::string store() const { return folder_ + "/control.db"; }

  std::optional<Child> server_;
  sqlite3* held_ = nullptr;
};

}  // namespace understudy
