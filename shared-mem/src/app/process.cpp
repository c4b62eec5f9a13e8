// SPDX-License-Identifier: Apache-2.0
#include "process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

extern "C" char** environ;  // NOLINT(readability-redundant-declaration): not every libc declares it

namespace understudy::app {

namespace {

std::string because(const std::string& what, int error) { return what + ": " + std::strerror(error); }

int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)); }

std::optional<std::uint64_t> start_ticks_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) { return std::nullopt; }
  const auto name_end = line.rfind(')');  // the name is in parentheses and may hold anything, spaces too
  if (name_end == std::string::npos) { return std::nullopt; }
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  constexpr int fields_from_name_to_start = 20;
  for (int i = 0; i < fields_from_name_to_start; ++i) {
    if (!(fields >> field)) { return std::nullopt; }
  }
  std::uint64_t ticks = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), ticks);
  if (error != std::errc{} || end != field.data() + field.size()) { return std::nullopt; }
  return ticks;
}

/// Whole or not at all: a reader never sees half a pid file.
Status write_pid_file(const std::string& path, ProcessIdentity identity) {
  const auto fresh = path + ".new";
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << identity.pid << ' ' << identity.start_ticks << '\n';
    if (!file.flush()) { return failure("cannot write " + fresh); }
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) { return failure(because("cannot rename " + fresh, errno)); }
  return {};
}

std::vector<std::string> merged_environment(const std::vector<std::pair<std::string, std::string>>& changes) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string::npos) { all[text.substr(0, equals)] = text.substr(equals + 1); }
  }
  for (const auto& [name, value] : changes) { all[name] = value; }
  std::vector<std::string> result;
  for (const auto& [name, value] : all) {
    result.push_back(name);
    result.back().append("=").append(value);
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& text : strings) { result.push_back(text.data()); }
  result.push_back(nullptr);
  return result;
}

/// Everything the child needs, made before the fork: after it only async-signal-safe calls are allowed.
struct Prepared {
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  Descriptor null;
  Descriptor log;
  Descriptor network_namespace;
  Descriptor go_read, go_write;          ///< one byte: the pid file is written; end of file: the agent died
  Descriptor failed_read, failed_write;  ///< errno of what went wrong in the child; end of file: it executes
};

Status open_pipe(Descriptor& read_end, Descriptor& write_end) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) { return failure(because("cannot make a pipe", errno)); }
  read_end = Descriptor(ends[0]);
  write_end = Descriptor(ends[1]);
  return {};
}

Status prepare(const SpawnOptions& options, Prepared& prepared) {
  if (options.command.empty() || options.command.front().empty() || options.command.front().front() != '/') {
    return failure("an application's command starts with the absolute path of its program", Errc::BadInput);
  }
  prepared.command = options.command;
  prepared.environment = merged_environment(options.environment);
  prepared.argv = pointers(prepared.command);
  prepared.envp = pointers(prepared.environment);
  prepared.null = Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!prepared.null) { return failure(because("cannot open /dev/null", errno)); }
  if (!options.log_path.empty()) {
    prepared.log = Descriptor(::open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!prepared.log) { return failure(because("cannot open " + options.log_path, errno)); }
  }
  if (!options.network_namespace.empty()) {
    prepared.network_namespace = Descriptor(::open(options.network_namespace.c_str(), O_RDONLY | O_CLOEXEC));
    if (!prepared.network_namespace) {
      return failure(because("cannot open the network namespace " + options.network_namespace, errno));
    }
  }
  if (auto made = open_pipe(prepared.go_read, prepared.go_write); !made) { return made; }
  return open_pipe(prepared.failed_read, prepared.failed_write);
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(number, &action, nullptr);  // fails for SIGKILL, SIGSTOP and the libc's own; they are at default anyway
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void give_up(const Prepared& prepared) {
  const int error = errno;
  [[maybe_unused]] const auto written = ::write(prepared.failed_write.get(), &error, sizeof(error));
  ::_exit(127);
}

/// Runs in the child: async-signal-safe calls only.
[[noreturn]] void child(const Prepared& prepared) {
  ::close(prepared.go_write.get());  // else our own copy would hide that the agent died
  reset_signals();
  if (::setpgid(0, 0) != 0) { give_up(prepared); }
  char go = 0;
  ssize_t got = 0;
  do { got = ::read(prepared.go_read.get(), &go, 1); } while (got < 0 && errno == EINTR);
  if (got != 1) { ::_exit(127); }
  if (prepared.network_namespace && ::setns(prepared.network_namespace.get(), CLONE_NEWNET) != 0) { give_up(prepared); }
  if (::dup2(prepared.null.get(), STDIN_FILENO) < 0) { give_up(prepared); }
  if (prepared.log) {
    if (::dup2(prepared.log.get(), STDOUT_FILENO) < 0 || ::dup2(prepared.log.get(), STDERR_FILENO) < 0) {
      give_up(prepared);
    }
  }
  ::umask(022);  // the agent's own is stricter; an application's files are its own affair
  ::close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);  // libraries of the agent leave descriptors open
  ::execve(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  give_up(prepared);
}

/// After a failure: the child has ended or is about to; nobody else waits for it.
void reap(const Descriptor& pidfd) {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED) != 0 && errno == EINTR) {}
}

}  // namespace

Result<Process> spawn(const SpawnOptions& options) {
  Prepared prepared;
  if (auto ready = prepare(options, prepared); !ready) { return ready.error(); }
  const pid_t pid = ::fork();
  if (pid < 0) { return failure(because("cannot fork", errno)); }
  if (pid == 0) { child(prepared); }

  Process process;
  process.identity.pid = pid;
  process.pidfd = Descriptor(pidfd_open(pid));  // ours to reap, so the pid is still its
  const int pidfd_error = errno;
  prepared.failed_write.reset();
  prepared.go_read.reset();
  if (!process.pidfd) {
    prepared.go_write.reset();  // the child sees the end of file and ends
    ::waitpid(pid, nullptr, 0);
    return failure(because("cannot open a pidfd", pidfd_error));
  }
  process.identity.start_ticks = start_ticks_of(pid).value_or(0);
  if (auto written = write_pid_file(options.pid_path, process.identity); !written) {
    prepared.go_write.reset();
    reap(process.pidfd);
    return written.error();
  }
  [[maybe_unused]] const auto told = ::write(prepared.go_write.get(), "g", 1);
  int error = 0;
  ssize_t got = 0;
  do { got = ::read(prepared.failed_read.get(), &error, sizeof(error)); } while (got < 0 && errno == EINTR);
  if (got != 0) {
    reap(process.pidfd);
    ::unlink(options.pid_path.c_str());
    return failure(because("cannot start " + options.command.front(), error));
  }
  return process;
}

Result<ProcessIdentity> read_pid_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) { return failure("there is no " + path, Errc::NotFound); }
  ProcessIdentity identity;
  if (!(file >> identity.pid >> identity.start_ticks) || identity.pid <= 1) {
    return failure(path + " does not hold a pid and a start time", Errc::Damaged);
  }
  return identity;
}

Result<Process> find_running(const std::string& pid_path) {
  const auto identity = read_pid_file(pid_path);
  if (!identity) { return identity.error(); }
  Process process;
  process.identity = identity.value();
  process.pidfd = Descriptor(pidfd_open(process.identity.pid));
  // The pidfd first, then the start time: so it cannot be exchanged between the two.
  if (!process.pidfd || start_ticks_of(process.identity.pid) != process.identity.start_ticks) {
    return failure("the process of " + pid_path + " has ended", Errc::NotFound);
  }
  if (::syscall(SYS_pidfd_send_signal, process.pidfd.get(), 0, nullptr, 0U) != 0 && errno == ESRCH) {
    return failure("the process of " + pid_path + " has ended", Errc::NotFound);
  }
  return process;
}

Status send_signal(const Process& process, int signal) {
  if (::syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, 0U) != 0) {
    return failure(because("cannot signal process " + std::to_string(process.identity.pid), errno));
  }
  return {};
}

}  // namespace understudy::app
