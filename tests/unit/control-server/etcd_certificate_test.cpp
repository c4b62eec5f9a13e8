// SPDX-License-Identifier: Apache-2.0
// The certificate that etcd knows a control-server by: its end stops every decision, so it is told before.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>

#include "edge/config_etcd.hpp"
#include "support/pki.hpp"

namespace understudy::control {
namespace {

constexpr std::int64_t kDay = 86'400;

class EtcdCertificateTest : public testing::Test {
 protected:
  EtcdCertificateTest() {
    const auto files = pki_.issue(link::tls::Kind::ControlServer, "control", "", 10);  // of a CA of 30 days
    settings_.ca = files.ca;
    settings_.certificate = files.certificate;
    settings_.key = files.key;
  }
  [[nodiscard]] std::vector<std::string> told_in(std::int64_t days) const {
    return etcd_certificate_alarms(settings_, 3, now_ + days * kDay);
  }
  /// The one sentence.
  [[nodiscard]] std::string sentence_in(std::int64_t days) const {
    const auto told = told_in(days);
    EXPECT_EQ(told.size(), 1U);
    return told.empty() ? "" : told[0];
  }
  const std::int64_t now_ = time(nullptr);
  test::Pki pki_;
  EtcdSettings settings_;
};

TEST_F(EtcdCertificateTest, IsToldBeforeItEndsAndAfter) {
  EXPECT_TRUE(told_in(0).empty());
  const auto soon = sentence_in(8);
  EXPECT_NE(soon.find("the certificate that etcd knows us by (" + settings_.certificate + ") ends at "),
            std::string::npos)
      << soon;
  EXPECT_NE(soon.find("nobody decides"), std::string::npos) << soon;
  EXPECT_NE(sentence_in(12).find("cannot be used: "), std::string::npos);
  EXPECT_EQ(told_in(28).size(), 2U) << "and the CA's end";
}

TEST_F(EtcdCertificateTest, ThatDoesNotFitItsKeyOrWhoseKeyOthersReadIsTold) {
  const auto other = pki_.issue(link::tls::Kind::ControlServer, "other");
  const auto key = settings_.key;
  settings_.key = other.key;
  EXPECT_NE(sentence_in(0).find("do not belong together"), std::string::npos) << sentence_in(0);
  settings_.key = key;
  for (const auto mode : {0640, 0644}) {
    ASSERT_EQ(chmod(key.c_str(), static_cast<mode_t>(mode)), 0);
    EXPECT_EQ(sentence_in(0).find("the key that etcd knows us by: others may read or write the key " + key), 0U)
        << sentence_in(0);
    EXPECT_EQ(told_in(12).size(), 2U) << "and that it has ended";
  }
}

TEST_F(EtcdCertificateTest, WithoutOneNothingIsTold) { EXPECT_TRUE(etcd_certificate_alarms({}, 3, now_).empty()); }

}  // namespace
}  // namespace understudy::control
