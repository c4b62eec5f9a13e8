// SPDX-License-Identifier: Apache-2.0
/// lab-init: turns a network namespace into a blade. It enters the namespace, makes a PID, mount and UTS namespace and
/// becomes process 1 in there; killing that one process is the lab's power switch, since the kernel then kills
/// everything else of the blade at once.
///
///     lab-init ──setns(net)──unshare(pid,mnt,uts)──fork──► process 1 of the blade ──fork──► host-agent
///        └── prints process 1's id as the lab sees it, exits                └── reaps whatever dies
///
/// - Private to a blade: /dev/shm, /run/understudy, /run/netns, /srv (tmpfs), /proc, /sys. All else is the machine's.
/// - Programs appear as /srv/bin/NAME: a role's application has one path, on a blade and in a mirror alike, wherever
/// the
///   build directory lies (a mirror's own /tmp would hide one that lies below /tmp).
/// - The command is not restarted when it exits (a blade without its host-agent is a case to test); SIGHUP starts it
///   again, SIGTERM ends the blade in order.
/// - A failure before the blade is ready is one line on stderr and status 1; nothing of it is left.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <system_error>
#include <vector>

namespace {

struct Options {
  std::string network_namespace, hostname, log;
  int nice = 0;
  std::vector<std::string> programs, command;
};

void check(int result, const std::string& what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

void mount_fresh(const char* type, const char* where, const char* data = nullptr) {
  check(mount(type, where, type, MS_NOSUID, data), std::string("mount ") + type + " on " + where);
}

/// /sys shows the interfaces of the namespace that mounted it; the control groups below it are carried over.
void mount_sys() {
  const char* carried = "/run/understudy/.cgroup";
  check(mkdir(carried, 0700), "mkdir .cgroup");
  const bool has_groups = mount("/sys/fs/cgroup", carried, nullptr, MS_BIND | MS_REC, nullptr) == 0;
  mount_fresh("sysfs", "/sys");
  if (has_groups) check(mount(carried, "/sys/fs/cgroup", nullptr, MS_MOVE, nullptr), "carry /sys/fs/cgroup over");
  check(rmdir(carried), "rmdir .cgroup");
}

void show_program(const std::string& path) {
  const std::string shown = "/srv/bin" + path.substr(path.find_last_of('/'));
  const int file = open(shown.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
  check(file, "make " + shown);
  close(file);
  check(mount(path.c_str(), shown.c_str(), nullptr, MS_BIND, nullptr), "show " + path + " as " + shown);
}

void make_mounts(const std::vector<std::string>& programs) {
  check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  mount_fresh("tmpfs", "/dev/shm", "mode=1777");
  mount_fresh("tmpfs", "/run/understudy", "mode=0755");
  // A copied mount of a namespace would keep it alive after its lab is down: none is carried along.
  while (umount2("/run/netns", MNT_DETACH) == 0) {}
  mount_fresh("tmpfs", "/run/netns", "mode=0755");
  mount_fresh("tmpfs", "/srv", "mode=0755");
  check(mkdir("/srv/bin", 0755), "mkdir /srv/bin");
  for (const auto& program : programs) show_program(program);
  mount_sys();
  mount_fresh("proc", "/proc");
}

/// Standard output and error go to the blade's log: they outlive the lab command that started the blade.
void redirect_output(const std::string& log) {
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  check(null, "open /dev/null");
  const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  check(file, "open " + log);
  check(dup2(null, STDIN_FILENO), "dup2");
  check(dup2(file, STDOUT_FILENO), "dup2");
  check(dup2(file, STDERR_FILENO), "dup2");
}

void say(const std::string& text) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::fprintf(stderr, "%lld.%03ld lab-init: %s\n", static_cast<long long>(now.tv_sec), now.tv_nsec / 1000000,
               text.c_str());
}

pid_t start(const std::vector<std::string>& command, const sigset_t& outer) {
  if (command.empty()) return 0;
  const pid_t child = fork();
  check(child, "fork");
  if (child > 0) return child;
  sigprocmask(SIG_SETMASK, &outer, nullptr);
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  say(std::string("cannot start ") + arguments[0] + ": " + std::strerror(errno));
  _exit(127);
}

/// Life of process 1: reap, start the command again when told, end when told.
[[noreturn]] void serve(const Options& options, const sigset_t& signals, const sigset_t& outer) {
  pid_t command = start(options.command, outer);
  while (true) {
    siginfo_t info{};
    const int signal = sigwaitinfo(&signals, &info);
    if (signal == SIGTERM) _exit(0);  // the kernel kills the rest of the blade
    int status = 0;
    for (pid_t dead = 0; (dead = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (dead != command) continue;
      command = 0;
      say(options.command.front() + (WIFSIGNALED(status)
                                         ? " was killed by signal " + std::to_string(WTERMSIG(status))
                                         : " exited with status " + std::to_string(WEXITSTATUS(status))));
    }
    // After the dead are seen: of two pending signals SIGHUP comes first, whichever was sent first.
    if (signal == SIGHUP && command == 0) command = start(options.command, outer);
  }
}

[[noreturn]] void be_init(const Options& options, int ready) {
  try {
    sigset_t signals{}, outer{};
    sigemptyset(&signals);
    for (const int signal : {SIGCHLD, SIGHUP, SIGTERM}) sigaddset(&signals, signal);
    check(sigprocmask(SIG_BLOCK, &signals, &outer), "sigprocmask");
    check(setsid(), "setsid");
    make_mounts(options.programs);
    check(sethostname(options.hostname.c_str(), options.hostname.size()), "sethostname");
    check(setpriority(PRIO_PROCESS, 0, options.nice), "setpriority");
    redirect_output(options.log);
    check(static_cast<int>(write(ready, "+", 1)), "write");
    close(ready);
    serve(options, signals, outer);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    if (write(ready, text.data(), text.size()) < 0) _exit(2);
    _exit(1);
  }
}

int run(const Options& options) {
  const int network = open(options.network_namespace.c_str(), O_RDONLY | O_CLOEXEC);
  check(network, "open " + options.network_namespace);
  check(setns(network, CLONE_NEWNET), "setns");
  close(network);
  check(unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS), "unshare");
  int ready[2];
  check(pipe2(ready, O_CLOEXEC), "pipe");
  const pid_t init = fork();
  check(init, "fork");
  if (init == 0) {
    close(ready[0]);
    be_init(options, ready[1]);
  }
  close(ready[1]);
  char text[512];
  std::string answer;
  for (ssize_t got = 0; (got = read(ready[0], text, sizeof text)) > 0 && answer.size() < 4096;)
    answer.append(text, static_cast<std::size_t>(got));
  if (answer != "+") {
    waitpid(init, nullptr, 0);
    throw std::runtime_error(answer.empty() ? "process 1 of the blade died before it was ready" : answer);
  }
  std::printf("%d\n", init);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Start a blade of the lab: process 1 in namespaces of its own"};
  Options options;
  app.add_option("--netns", options.network_namespace, "the blade's network namespace, a path")->required();
  app.add_option("--hostname", options.hostname, "the blade's name")->required();
  app.add_option("--log", options.log, "where output of the blade's processes goes")->required();
  app.add_option("--nice", options.nice, "nice level of the blade's processes");
  app.add_option("--program", options.programs, "an absolute path; the blade has it as /srv/bin/NAME")
      ->allow_extra_args(false)  // otherwise it takes the "--" that begins the command for the end of its own list
      ->check([](const std::string& path) { return path.starts_with('/') ? "" : "use an absolute path"; });
  app.add_option("command", options.command, "started in the blade, with its arguments, after --");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-init: %s\n", error.what());
    return 1;
  }
}
