// SPDX-License-Identifier: Apache-2.0
/// The growing table in C++ and C, as an application would do it; and what the documents show of it is that code.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "understudy/shm/region.hpp"

namespace {

std::string text_of(const std::string& file) {
  std::ifstream in(std::string(SOURCE_FOLDER) + "/" + file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// What lies between the two lines that have the mark.
std::string marked(const std::string& text) {
  const auto begin = text.find('\n', text.find("[grow]"));
  const auto end = text.rfind('\n', text.rfind("[grow]"));
  return text.substr(begin + 1, end - begin);
}

class GrowingTable : public testing::TestWithParam<const char*> {
 protected:
  ~GrowingTable() override { ::unlink(file_.c_str()); }
  /// What it prints; its exit status.
  std::pair<std::string, int> run(unsigned orders) {
    FILE* const out =
        ::popen((std::string(GetParam()) + " " + file_ + " " + std::to_string(orders) + " 2>&1").c_str(), "r");
    std::string told;
    for (std::array<char, 256> line{}; std::fgets(line.data(), line.size(), out) != nullptr;) { told += line.data(); }
    return {told, WEXITSTATUS(::pclose(out))};
  }
  const std::string file_ = "/dev/shm/understudy-growing-table-" + std::to_string(::getpid());
};
INSTANTIATE_TEST_SUITE_P(In, GrowingTable, testing::Values(GROWING_TABLE, GROWING_TABLE_C),
                         [](const auto& in) { return std::string(in.param).ends_with("-c") ? "C" : "Cpp"; });

TEST_P(GrowingTable, GoesOnWhenItIsFullUntilItIsFullIndeed) {
  EXPECT_EQ(run(1000), std::pair(std::string("1000 orders, room for 1000\n"), 0)) << "not sooner than needed";
  EXPECT_EQ(run(1500), std::pair(std::string("1500 orders, room for 100000\n"), 0));
  const auto region = understudy::shm::Region::open(file_, understudy::shm::Access::ReadOnly).value();
  EXPECT_EQ(region.store("shop").value().count(0), 1500U);
  const auto [told, status] = run(100'001);
  EXPECT_EQ(status, 1);
  EXPECT_NE(told.find("is full: it holds 100000 of 100000 records"), std::string::npos) << told;
}

TEST(GrowingTableDocs, ShowTheCodeThatIsCompiled) {
  const std::string design = text_of("shared-mem/DESIGN.md");
  for (const char* source : {"examples/growing-table/main.cpp", "examples/growing-table/main.c"}) {
    const std::string code = marked(text_of(source));
    ASSERT_GT(code.size(), 200U) << source;
    EXPECT_NE(design.find(code), std::string::npos) << "shared-mem/DESIGN.md should show this of " << source << ":\n"
                                                    << code;
  }
}

}  // namespace
