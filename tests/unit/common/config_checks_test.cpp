// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/config_checks.hpp"

#include <gtest/gtest.h>

namespace understudy {
namespace {

TEST(ConfigChecks, ANameFitsIntoAFileName) {
  EXPECT_TRUE(is_config_name("blade-1"));
  EXPECT_TRUE(is_config_name("a.b_C"));
  for (const auto* bad : {"../x", "a b", ".", "..", "a/b", "\n"}) { EXPECT_FALSE(is_config_name(bad)) << bad; }
  EXPECT_TRUE(is_config_name(std::string(64, 'a')));
  EXPECT_FALSE(is_config_name(std::string(65, 'a')));
}

TEST(ConfigChecks, AnEndpointIsAnAddressAndAPort) {
  EXPECT_EQ(parse_endpoint("192.168.1.250:7400")->port, 7400);
  EXPECT_EQ(parse_endpoint("[fd00:1::250]:65535")->address.to_string(), "fd00:1::250");
  for (const auto* bad : {"192.168.1.250", "192.168.1.250:", "192.168.1.250:0", "192.168.1.250:65536", ":7400",
                          "192.168.1.250:74x", "host:7400", "192.168.1.250:-1", "fd00:1::250:7400", "[]:1", ""}) {
    EXPECT_FALSE(parse_endpoint(bad).has_value()) << bad;
  }
}

TEST(ConfigChecks, AProgramIsAFileThatMayBeExecuted) {
  EXPECT_TRUE(is_program("sh"));
  EXPECT_TRUE(is_program("/bin/sh"));
  for (const auto* bad : {"/usr/bin", "/etc/passwd", "/nonexistent", "no-such-program", ""}) {
    EXPECT_FALSE(is_program(bad)) << bad;
  }
  EXPECT_FALSE(is_readable_file("/etc"));
  EXPECT_TRUE(is_readable_file("/etc/passwd"));
}

}  // namespace
}  // namespace understudy
