// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/result.hpp"

#include <gtest/gtest.h>

namespace understudy {
namespace {

Result<int> halve(int number) {
  if (number % 2 != 0) { return failure(std::to_string(number) + " is odd", Errc::BadInput); }
  return number / 2;
}

TEST(Result, CarriesTheValueOrTheReason) {
  EXPECT_EQ(halve(4).value(), 2);
  const auto odd = halve(5);
  ASSERT_FALSE(odd.ok());
  EXPECT_EQ(odd.error().code, Errc::BadInput);
  EXPECT_EQ(odd.error().message, "5 is odd");
}

TEST(Result, RemembersWhereTheFailureWasNoticed) {
  EXPECT_NE(std::string(halve(1).error().where.file_name()).find("result_test.cpp"), std::string::npos);
}

TEST(ResultDeathTest, Misuse_ValueOfAFailureAbortsWithTheReason) { EXPECT_DEATH((void)halve(3).value(), "3 is odd"); }

}  // namespace
}  // namespace understudy
