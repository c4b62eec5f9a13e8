// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A program of other people's making in a network namespace, with a directory of its own; ended by its pid, whatever
/// happens.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "network_namespace.hpp"

namespace understudy::test {

inline bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

/// Those of them that are not there, for a person; empty: all are.
inline std::string missing_programs(const std::vector<std::string>& programs) {
  std::string missing;
  for (const auto& program : programs) {
    if (!is_installed(program)) { missing += (missing.empty() ? "" : ", ") + program; }
  }
  return missing;
}

/// Without these programs a test is skipped; where everything is installed (`./dev test` does, and says so) it fails:
/// nobody may take a test that did not run for one that passed.
#define UNDERSTUDY_NEEDS_PROGRAMS(...)                                                                              \
  if (const auto missing = ::understudy::test::missing_programs(__VA_ARGS__); !missing.empty()) {                   \
    if (std::getenv("UNDERSTUDY_INSTALLED") != nullptr) {                                                           \
      GTEST_FAIL() << missing << ": not installed, although UNDERSTUDY_INSTALLED says that everything is; look at " \
                   << "packages_test in ./dev";                                                                     \
    }                                                                                                               \
    GTEST_SKIP() << missing << ": not installed";                                                                   \
  }

/// What `command` printed, standard error included; runs in this thread's namespace.
inline std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2>&1").c_str(), "r"), pclose);
  std::string out;
  std::array<char, 4096> buffer;
  while (pipe && fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) { out += buffer.data(); }
  return out;
}

/// A directory under /tmp that is gone with this object.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    char name[] = "/tmp/understudy-bfd-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(at(name)) << text; }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(at(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

class ForeignProcess {
 public:
  /// What it prints goes into the file `log`.
  ForeignProcess(NetworkNamespace& where, std::vector<std::string> words, const std::string& log) {
    where.run([&] {
      pid_ = fork();
      if (pid_ != 0) { return; }
      const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      const int silence = open("/dev/null", O_RDONLY | O_CLOEXEC);
      dup2(silence, 0);
      dup2(out, 1);
      dup2(out, 2);
      std::vector<char*> arguments;
      for (auto& word : words) { arguments.push_back(word.data()); }
      arguments.push_back(nullptr);
      execvp(arguments[0], arguments.data());
      _exit(127);
    });
  }
  ~ForeignProcess() { end(SIGKILL); }
  ForeignProcess(const ForeignProcess&) = delete;
  ForeignProcess& operator=(const ForeignProcess&) = delete;

  void end(int signal) {
    if (pid_ <= 0) { return; }
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace understudy::test
