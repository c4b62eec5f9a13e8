// SPDX-License-Identifier: Apache-2.0
#include "edge/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX wants it declared by the program

namespace understudy::control {

namespace {
constexpr std::size_t output_max = 64 * 1024;
using Clock = std::chrono::steady_clock;

/// Reads until the program's end of the pipe closes. False: the deadline passed.
bool read_all(int pipe, std::string& output, Clock::time_point until) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) { return false; }
    pollfd waiting{pipe, POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) { continue; }
    if (ready <= 0) { return false; }
    const auto got = read(pipe, buffer.data(), buffer.size());
    if (got <= 0) { return true; }
    const auto room = output_max - std::min(output_max, output.size());
    output.append(buffer.data(), std::min(static_cast<std::size_t>(got), room));
  }
}
}  // namespace

Result<CommandResult> run_command(const std::vector<std::string>& argv, std::chrono::milliseconds deadline) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) { return failure("no pipe for " + argv.front()); }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::vector<std::string> copies = argv;
  std::vector<char*> arguments;
  for (auto& copy : copies) { arguments.push_back(copy.data()); }
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int spawned = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (spawned != 0) {
    close(ends[0]);
    return failure("cannot run " + argv.front() + ": error " + std::to_string(spawned), Errc::NotFound);
  }
  CommandResult result;
  const bool finished = read_all(ends[0], result.output, Clock::now() + deadline);
  close(ends[0]);
  if (!finished) { kill(child, SIGKILL); }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (!finished) {
    return failure(argv.front() + " gave no answer within " + std::to_string(deadline.count()) + " ms", Errc::Expired);
  }
  if (!WIFEXITED(status)) { return failure(argv.front() + " was ended by signal " + std::to_string(WTERMSIG(status))); }
  result.status = WEXITSTATUS(status);
  return result;
}

}  // namespace understudy::control
