// SPDX-License-Identifier: Apache-2.0
#include "understudy/common/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace understudy::log {
namespace {

/// Puts the process's default logger back, which init() replaces.
class LogTest : public testing::Test {
 protected:
  ~LogTest() override {
    ::unsetenv("UNDERSTUDY_LOG");
    spdlog::set_default_logger(before_);
    if (!program_.empty()) { spdlog::drop(program_); }
  }
  void init_with(const std::string& program, const char* level) {
    program_ = program;
    if (level != nullptr) { ::setenv("UNDERSTUDY_LOG", level, 1); }
    init(program);
  }
  static std::string what_is_logged() {
    testing::internal::CaptureStderr();
    debug("for a developer");
    info("role-{} is served", 1);
    warn("blade-2 is late");
    return testing::internal::GetCapturedStderr();
  }

 private:
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::string program_;
};

TEST_F(LogTest, ALineHasTimeProgramLevelAndTheSentence) {
  init_with("log-test-line", nullptr);
  EXPECT_THAT(what_is_logged().c_str(),
              testing::MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+ log-test-line info role-1 is "
                                    "served\n.* log-test-line warning blade-2 is late\n"));
}

/// What a guest, a blade or an application has said of itself is quoted in it, and a person reads it in a terminal.
TEST_F(LogTest, ALineIsPlainTextWhateverItQuotes) {
  init_with("log-test-plain", nullptr);
  testing::internal::CaptureStderr();
  warn("the mirror says: {}", "\x1b[2J\x1b]0;gone\x07\r\xc2\x9b\ttwo\nlines");
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("the mirror says: ?[2J?]0;gone????\ttwo\nlines\n"));
}

TEST_F(LogTest, DebugIsToldOnlyWhenAskedFor) {
  init_with("log-test-debug", "debug");
  EXPECT_THAT(what_is_logged(), testing::HasSubstr("debug for a developer"));
}

TEST_F(LogTest, ALevelAboveInfoLeavesItOut) {
  init_with("log-test-warn", "warn");
  const auto logged = what_is_logged();
  EXPECT_THAT(logged, testing::Not(testing::HasSubstr("role-1")));
  EXPECT_THAT(logged, testing::HasSubstr("blade-2 is late"));
}

TEST_F(LogTest, AWordThatIsNoLevelDoesNotSilenceTheProgramAndIsTold) {
  for (const char* level : {"", "verbose", "INFO"}) {
    testing::internal::CaptureStderr();
    init_with(std::string("log-test-") + level, level);
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                testing::HasSubstr("UNDERSTUDY_LOG is \"" + std::string(level)));
    EXPECT_THAT(what_is_logged(), testing::HasSubstr("role-1 is served")) << level;
  }
}

TEST_F(LogTest, OffIsTakenAtItsWord) {
  init_with("log-test-off", "off");
  EXPECT_EQ(what_is_logged(), "");
}

TEST(Describe, TellsTheSentenceAndWhereWithoutTheFolders) {
  const auto error = failure("port ext: there is no interface ext0", Errc::NotFound);
  EXPECT_EQ(describe(error),
            "port ext: there is no interface ext0 [log_test.cpp:" + std::to_string(error.where.line()) + "]");
}

TEST(Describe, AnErrorWithoutAPlaceIsStillToldWhole) {
  EXPECT_EQ(describe(Error{Errc::Failed, "no room", std::source_location()}), "no room [:0]");
}

}  // namespace
}  // namespace understudy::log
