// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A real program as a child of the test.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace understudy {

/// A child process, killed at the end of its scope. Its input is a pipe that we hold.
class Child {
 public:
  Child(const std::vector<std::string>& words, const std::string& output) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    std::vector<char*> argv;
    for (const auto& word : words) { argv.push_back(const_cast<char*>(word.c_str())); }  // NOLINT: POSIX's signature
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // also when the test is killed
      dup2(ends[0], 0);
      const int file = open(output.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      dup2(file, 1);
      dup2(file, 2);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[0]);
    input_ = ends[1];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill_now(); }
  void kill_now() {
    if (pid_ <= 0) { return; }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(input_);
    pid_ = -1;
  }
  void signal(int number) const { kill(pid_, number); }
  int terminate() {
    int status = 0;
    kill(pid_, SIGTERM);
    waitpid(pid_, &status, 0);
    close(input_);
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
};

}  // namespace understudy
