// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/child_process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

namespace understudy::host {
namespace {

Error system_failure(const std::string& what) { return failure(what + ": " + std::strerror(errno)); }

int pidfd_open(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

Result<std::uint64_t> read_start_time(pid_t pid) {
  auto stat = read_small_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) { return stat.error(); }
  // The name in parentheses may hold anything; field 22 is the 20th after it.
  const auto name_end = stat->rfind(')');
  if (name_end == std::string::npos) { return failure("/proc/" + std::to_string(pid) + "/stat is not as known"); }
  std::istringstream fields(stat->substr(name_end + 1));
  std::string field;
  for (int index = 0; index < 20; ++index) { fields >> field; }
  char* end = nullptr;
  const auto start_time = std::strtoull(field.c_str(), &end, 10);
  if (field.empty() || *end != '\0') { return failure("/proc/" + std::to_string(pid) + "/stat is not as known"); }
  return std::uint64_t{start_time};
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};
Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) { return system_failure("no pipe"); }
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// The daemon's own environment and what is added to it, made before the fork.
std::vector<char*> environment_with(const std::vector<std::string>& added) {
  std::vector<char*> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) { all.push_back(*entry); }
  for (const auto& entry : added) {
    const auto name = std::string_view(entry).substr(0, entry.find('=') + 1);
    std::erase_if(all, [&](const char* known) { return std::string_view(known).starts_with(name); });
    all.push_back(const_cast<char*>(entry.c_str()));  // NOLINT: execvpe
  }
  all.push_back(nullptr);
  return all;
}

/// What the child needs and cannot make: async-signal-safe calls only (the daemon has threads).
struct ChildNeeds {
  char* const* arguments;
  char* const* environment;
  int output;
  int go;
  int report;
  int network_namespace;  ///< -1: none
};

[[noreturn]] void give_up(int report) {
  const int reason = errno;
  [[maybe_unused]] const auto written = write(report, &reason, sizeof reason);
  _exit(127);
}

/// In the child, between fork and exec: async-signal-safe calls only (the daemon has threads).
[[noreturn]] void run_child(const SpawnOptions& options, const ChildNeeds& needs) {
  setsid();  // a session has a CPU share of its own where the kernel groups tasks by session (autogroups)
  if (options.dies_with_daemon) { prctl(PR_SET_PDEATHSIG, SIGKILL); }
  char released = 0;
  if (read(needs.go, &released, 1) != 1) { _exit(127); }
  if (needs.network_namespace >= 0 && setns(needs.network_namespace, CLONE_NEWNET) != 0) { give_up(needs.report); }
  if (options.file_bytes_max != 0) {
    const rlimit limit{options.file_bytes_max, options.file_bytes_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  // SIGXFSZ stays ignored through exec: a full log is a failed write, not the end of the process.
  for (int number = 1; number < SIGRTMIN; ++number) {
    if (number != SIGKILL && number != SIGSTOP) { std::signal(number, number == SIGXFSZ ? SIG_IGN : SIG_DFL); }
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = open("/dev/null", O_RDWR);
  dup2(nothing, STDIN_FILENO);
  dup2(needs.output, STDOUT_FILENO);
  dup2(needs.output, STDERR_FILENO);
  // The report pipe stays until exec closes it; everything else of the daemon is closed now.
  dup2(needs.report, 3);
  fcntl(3, F_SETFD, FD_CLOEXEC);
  syscall(SYS_close_range, 4U, ~0U, 0U);
  execvpe(needs.arguments[0], needs.arguments, needs.environment);
  give_up(3);
}

}  // namespace

void UniqueFd::reset() {
  if (fd_ >= 0) { close(release()); }
}

Result<SpawnedProcess> spawn(const SpawnOptions& options, const std::function<Status(const ProcessIdentity&)>& record) {
  UNDERSTUDY_ASSERT(!options.command.empty());
  std::vector<char*> arguments;
  for (const auto& word : options.command) { arguments.push_back(const_cast<char*>(word.c_str())); }  // NOLINT: execvp
  arguments.push_back(nullptr);
  UniqueFd opened;
  if (options.output_fd < 0) {
    opened = UniqueFd(open(options.output_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!opened.valid()) { return system_failure(options.output_path); }
  }
  const auto environment = environment_with(options.environment);
  UniqueFd network_namespace;
  if (!options.network_namespace.empty()) {
    network_namespace = UniqueFd(open(options.network_namespace.c_str(), O_RDONLY | O_CLOEXEC));
    if (!network_namespace.valid()) { return system_failure(options.network_namespace); }
  }
  auto boot_id = read_boot_id();
  if (!boot_id) { return boot_id.error(); }
  auto go = make_pipe();
  auto report = make_pipe();
  if (!go || !report) { return (!go ? go : report).error(); }

  const pid_t pid = fork();
  if (pid < 0) { return system_failure("no process for " + options.command[0]); }
  if (pid == 0) {
    // Its own copy of the write end would keep the child from seeing that the parent has died.
    close(go->write_end.get());
    run_child(options, {arguments.data(), environment.data(), options.output_fd >= 0 ? options.output_fd : opened.get(),
                        go->read_end.get(), report->write_end.get(), network_namespace.get()});
  }
  report->write_end.reset();
  SpawnedProcess spawned;
  spawned.pidfd = UniqueFd(pidfd_open(pid));
  auto start_time = read_start_time(pid);
  Status recorded = !spawned.pidfd.valid() ? Status(system_failure("no pidfd"))
                    : !start_time          ? Status(start_time.error())
                                           : Status();
  if (recorded) {
    spawned.identity = {pid, *start_time, *boot_id};
    recorded = record(spawned.identity);
  }
  const char released = 1;
  if (recorded && write(go->write_end.get(), &released, 1) != 1) { recorded = system_failure("the child is gone"); }
  go->write_end.reset();
  int reason = 0;
  if (recorded && read(report->read_end.get(), &reason, sizeof reason) == sizeof reason) {
    recorded = failure(options.command[0] + " cannot be started: " + std::strerror(reason));
  }
  if (!recorded) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return recorded.error();
  }
  return spawned;
}

Result<UniqueFd> open_process(const ProcessIdentity& identity) {
  const auto gone = [&] { return failure("process " + std::to_string(identity.pid) + " is gone", Errc::NotFound); };
  auto boot_id = read_boot_id();
  if (!boot_id) { return boot_id.error(); }
  if (identity.pid <= 1 || *boot_id != identity.boot_id) { return gone(); }
  // The descriptor first: what the start time then says is about the process that the descriptor holds.
  UniqueFd pidfd(pidfd_open(identity.pid));
  if (!pidfd.valid()) { return gone(); }
  const auto start_time = read_start_time(identity.pid);
  if (!start_time || start_time.value() != identity.start_time) { return gone(); }
  return pidfd;
}

Status kill_process(const UniqueFd& pidfd) {
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0 || errno == ESRCH) { return {}; }
  return system_failure("SIGKILL");
}

std::string collect_exit(const UniqueFd& pidfd) {
  siginfo_t info{};
  constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD, which glibc 2.34 does not know
  if (waitid(by_pidfd, static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG) != 0) { return "ended"; }
  if (info.si_pid == 0) { return ""; }
  if (info.si_code == CLD_EXITED) { return "ended with status " + std::to_string(info.si_status); }
  return "ended by signal " + std::to_string(info.si_status);
}

Result<std::string> read_boot_id() {
  auto text = read_small_file("/proc/sys/kernel/random/boot_id", 64);
  if (!text) { return text.error(); }
  return text->substr(0, text->find('\n'));
}

Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max) {
  std::ifstream file(path, std::ios::binary);
  if (!file) { return failure(path + " cannot be read", Errc::NotFound); }
  std::string content(bytes_max + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > bytes_max) {
    return failure(path + " is longer than " + std::to_string(bytes_max) + " bytes", Errc::Damaged);
  }
  return content;
}

Status write_file_atomically(const std::string& path, const std::string& content) {
  const std::string partial = path + ".partial";
  UniqueFd file(open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) { return system_failure(partial); }
  if (write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    return system_failure(partial);
  }
  if (rename(partial.c_str(), path.c_str()) != 0) { return system_failure(path); }
  return {};
}

}  // namespace understudy::host
