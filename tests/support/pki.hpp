// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A chassis's certificates in a folder of their own, made by the product's pki, for tests of wires.

#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "understudy/link/pki.hpp"

namespace understudy::test {

class Pki {
 public:
  explicit Pki(const std::string& chassis = "chassis-1") : chassis_(chassis) {
    static int number = 0;
    folder_ = testing::TempDir() + "pki_" + std::to_string(getpid()) + "_" + std::to_string(number++);
    std::filesystem::remove_all(folder_);
    const auto made = link::tls::pki_init(folder_, chassis, link::tls::valid_for(30, time(nullptr)), false);
    EXPECT_TRUE(made.ok()) << made.error().message;
  }
  ~Pki() { std::filesystem::remove_all(folder_); }
  Pki(const Pki&) = delete;
  Pki& operator=(const Pki&) = delete;

  [[nodiscard]] const std::string& folder() const { return folder_; }

  /// Files of a new certificate, valid from a day ago or, when `days` is negative, until some days ago.
  link::tls::CredentialFiles issue(link::tls::Kind kind, const std::string& name, const std::string& role = "",
                                   int days = 10) {
    const auto now = static_cast<std::int64_t>(time(nullptr));
    const link::tls::Validity validity{now - 20 * 86'400, now + days * 86'400};
    const auto made = link::tls::pki_issue(folder_, kind, name, role, validity, true);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return {folder_ + "/ca.crt", made.ok() ? made->certificate : "", made.ok() ? made->key : ""};
  }
  link::tls::Wire wire(link::tls::Kind kind, const std::string& name) { return {false, issue(kind, name)}; }
  link::tls::Credentials credentials(link::tls::Kind kind, const std::string& name, const std::string& role = "",
                                     int days = 10) {
    const auto read = link::tls::read_credentials(issue(kind, name, role, days));
    EXPECT_TRUE(read.ok()) << read.error().message;
    return read.ok() ? read.value() : link::tls::Credentials{};
  }

 private:
  std::string chassis_;
  std::string folder_;
};

}  // namespace understudy::test
