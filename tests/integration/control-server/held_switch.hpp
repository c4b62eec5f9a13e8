// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A switch by command, whose ports are real ones of a Linux bridge. It can be held at a call, for as long as a test
/// wants, and so holds whoever has called it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace understudy {

class HeldSwitch {
 public:
  explicit HeldSwitch(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    std::ofstream(command()) << "#!/bin/sh\ncd " << folder_ << R"sh( || exit 1
verb=$1; shift
if [ -e "hold-$verb-$1" ]; then : >"at-$verb-$1"; while [ -e "hold-$verb-$1" ]; do sleep 0.01; done; fi
for port; do
  case $verb in
    isolate) ip link set "$port" down || exit 1 ;;
    readmit) ip link set "$port" up || exit 1 ;;
    status) [ -n "$(ip -o link show up dev "$port")" ] && echo "$port connected" || echo "$port isolated" ;;
  esac
done
)sh";
    EXPECT_EQ(chmod(command().c_str(), 0755), 0);
  }

  /// The lines of [switch]. Held for long, it is not killed.
  [[nodiscard]] std::string settings() const {
    return "driver = \"command\"\ncommand = [\"" + command() + "\"]\ndeadline_ms = 120000\n";
  }
  void hold(const std::string& verb, const std::string& port) const {
    std::ofstream(folder_ + "/hold-" + verb + "-" + port).flush();
  }
  /// Whoever it holds already is not told of any more.
  void hold_the_next(const std::string& verb, const std::string& port) const {
    std::filesystem::remove(folder_ + "/at-" + verb + "-" + port);
    hold(verb, port);
  }
  [[nodiscard]] bool holds(const std::string& verb, const std::string& port) const {
    return std::filesystem::exists(folder_ + "/at-" + verb + "-" + port);
  }
  void let_go(const std::string& verb, const std::string& port) const {
    std::filesystem::remove(folder_ + "/hold-" + verb + "-" + port);
  }
  static bool is_isolated(const std::string& port) {
    return std::system(("test -z \"$(ip -o link show up dev " + port + ")\"").c_str()) == 0;
  }
  static void connect(const std::string& port) { EXPECT_EQ(std::system(("ip link set " + port + " up").c_str()), 0); }

 private:
  [[nodiscard]] std::string command() const { return folder_ + "/switch"; }

  std::string folder_;
};

}  // namespace understudy
