// SPDX-License-Identifier: Apache-2.0
#include "edge/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

namespace understudy::control {
namespace {

constexpr std::size_t kMaxOutput = 64 * 1024;

/// Read side of one of the child's outputs. Closed by whoever owns it.
class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0) { ends_ = {-1, -1}; }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  [[nodiscard]] bool ok() const { return ends_[0] >= 0; }
  [[nodiscard]] int read_end() const { return ends_[0]; }
  [[nodiscard]] int write_end() const { return ends_[1]; }
  void close_write_end() { close_end(1); }

  /// Takes what is there; closes at the end.
  void drain(std::string& to) {
    std::array<char, 4096> chunk{};
    for (int i = 0; i < 64 && ends_[0] >= 0; ++i) {
      const ssize_t got = read(ends_[0], chunk.data(), chunk.size());
      if (got > 0) {
        const auto size = static_cast<std::size_t>(got);
        to.append(chunk.data(), std::min(size, kMaxOutput - std::min(kMaxOutput, to.size())));
      } else if (got == 0) {
        close_end(0);
      } else {
        return;
      }
    }
  }

 private:
  void close_end(std::size_t end) {
    if (ends_[end] >= 0) { close(ends_[end]); }
    ends_[end] = -1;
  }
  std::array<int, 2> ends_{};
};

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') { text.pop_back(); }
  const auto begin = text.rfind('\n');
  return begin == std::string::npos ? text : text.substr(begin + 1);
}

std::string reason(const std::string& complaints) { return complaints.empty() ? "" : ": " + last_line(complaints); }

/// How long a killed command has to be gone. One that hangs in the kernel (a dead NFS server, a driver) is not.
constexpr std::chrono::milliseconds kill_limit{1000};

/// Children that SIGKILL has not ended yet. Waited for whenever another command ends, so that none stays a zombie.
class Abandoned {
 public:
  void add(pid_t child) {
    const std::lock_guard lock(mutex_);
    children_.push_back(child);
  }
  void reap() {
    const std::lock_guard lock(mutex_);
    std::erase_if(children_, [](pid_t child) { return waitpid(child, nullptr, WNOHANG) != 0; });
  }

 private:
  std::mutex mutex_;
  std::vector<pid_t> children_;
};

Abandoned& abandoned() {
  static Abandoned all;
  return all;
}

/// Whether the process of `pidfd` has ended; waits for it until `deadline`.
bool ends_until(int pidfd, std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd watched{pidfd, POLLIN, 0};
    if (poll(&watched, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000))) > 0) { return true; }
    if (left <= 0) { return false; }
  }
}

/// Standard input is memory that only the child reads: no argument, no file, no pipe that could fill up.
class Input {
 public:
  explicit Input(const std::string& text) : fd_(memfd_create("input", MFD_CLOEXEC)) {
    const auto size = static_cast<ssize_t>(text.size());
    if (fd_ >= 0 && (write(fd_, text.data(), text.size()) != size || lseek(fd_, 0, SEEK_SET) != 0)) {
      close(fd_);
      fd_ = -1;
    }
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() {
    if (fd_ >= 0) { close(fd_); }
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

/// For exec; the strings stay theirs.
std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> all;
  for (const auto& word : words) { all.push_back(const_cast<char*>(word.c_str())); }  // NOLINT: POSIX's signature
  return all;
}

Result<pid_t> spawn(const std::vector<std::string>& words, const std::vector<std::string>& environment,
                    const Input& input, const Pipe& output, const Pipe& errors) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, input.fd(), 0);
  posix_spawn_file_actions_adddup2(&actions, output.write_end(), 1);
  posix_spawn_file_actions_adddup2(&actions, errors.write_end(), 2);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  auto argv = pointers(words);
  argv.push_back(nullptr);
  auto theirs = pointers(environment);
  for (char** ours = environ; *ours != nullptr; ++ours) { theirs.push_back(*ours); }
  theirs.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), theirs.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) { return failure("cannot start " + words[0] + ": " + std::strerror(error)); }
  return child;
}

}  // namespace

Result<CommandEnd> end_of_command(const std::vector<std::string>& words, const std::string& standard_input,
                                  std::chrono::milliseconds limit, const std::vector<std::string>& environment) {
  if (words.empty()) { return failure("an empty command", Errc::BadInput); }
  Pipe output;
  Pipe errors;
  const Input input(standard_input);
  if (!output.ok() || !errors.ok() || input.fd() < 0) {
    return failure("cannot make a pipe: " + std::string(std::strerror(errno)));
  }
  abandoned().reap();
  const auto child = spawn(words, environment, input, output, errors);
  if (!child) { return child.error(); }
  output.close_write_end();
  errors.close_write_end();
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, child.value(), 0));
  if (pidfd < 0) {
    const std::string why = std::strerror(errno);
    kill(-child.value(), SIGKILL);
    abandoned().add(child.value());
    return failure(words[0] + " was killed at its start, since nobody could have waited for its end: " + why);
  }
  std::string said;
  std::string complained;
  bool expired = false;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (bool running = true; running;) {
    std::array<pollfd, 3> watched{{{pidfd, POLLIN, 0}, {output.read_end(), POLLIN, 0}, {errors.read_end(), POLLIN, 0}}};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    expired = left <= 0;
    if (expired) { break; }
    poll(watched.data(), watched.size(), static_cast<int>(std::min<std::int64_t>(left, 1000)));
    output.drain(said);
    errors.drain(complained);
    running = watched[0].revents == 0;
  }
  if (expired) { kill(-child.value(), SIGKILL); }
  const bool gone = ends_until(pidfd, std::chrono::steady_clock::now() + kill_limit);
  close(pidfd);
  if (!gone) {
    abandoned().add(child.value());
    return failure(words[0] + " did not end within " + std::to_string(limit.count()) +
                       " ms, and SIGKILL has not ended it either: it hangs in the kernel",
                   Errc::Expired);
  }
  int status = 0;
  while (waitpid(child.value(), &status, 0) < 0 && errno == EINTR) {}
  output.drain(said);  // what it wrote last
  errors.drain(complained);
  if (expired) {
    return failure(words[0] + " did not end within " + std::to_string(limit.count()) + " ms and was killed",
                   Errc::Expired);
  }
  if (!WIFEXITED(status)) {
    return failure(words[0] + " ended with signal " + std::to_string(WTERMSIG(status)) + reason(complained));
  }
  return CommandEnd{WEXITSTATUS(status), said, complained};
}

Result<std::string> run_command(const std::vector<std::string>& words, std::chrono::milliseconds limit) {
  const auto end = end_of_command(words, "", limit);
  if (!end) { return end.error(); }
  if (end.value().status == 0) { return end.value().output; }
  return failure(words[0] + " ended with status " + std::to_string(end.value().status) +
                 reason(end.value().complaints));
}

}  // namespace understudy::control
