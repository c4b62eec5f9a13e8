// SPDX-License-Identifier: Apache-2.0
#include "edge/health_runner.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "edge/guests/child_process.hpp"
#include "understudy/common/process_end.hpp"

namespace understudy::host {

namespace asio = boost::asio;

namespace {
constexpr std::size_t tail_bytes = 4096;
constexpr std::size_t line_bytes_max = 200;
constexpr int last_reads_max = 64;  ///< whoever else holds the pipe may write for ever
constexpr auto kill_limit = std::chrono::seconds(1);
}  // namespace

std::string last_line_of(const std::string& output) {
  std::string line;
  std::string last;
  for (const char c : output + "\n") {
    if (c == '\n') {
      if (!line.empty()) { last = line; }
      line.clear();
    } else if (static_cast<unsigned char>(c) >= ' ' && c != 0x7f && line.size() < line_bytes_max) {
      line += c;
    }
  }
  return last;
}

struct HealthRunner::Runs {
  std::map<RoleId, std::shared_ptr<Run>> all;
};

struct HealthRunner::Run : std::enable_shared_from_this<Run> {
  Run(asio::io_context& io, Done given) : done(std::move(given)), end(io), output(io), timer(io) {}

  Done done;  ///< none: it was called
  SpawnedProcess process;
  asio::posix::stream_descriptor end;  ///< a copy of the pidfd
  asio::posix::stream_descriptor output;
  asio::steady_timer timer;
  std::array<char, tail_bytes> chunk{};
  std::string tail;
  std::string too_long;  ///< its deadline has passed
  std::string how;       ///< it ended; none: it runs

  Status start(const std::vector<std::string>& command, const RoleId& role, const std::string& network_namespace);
  void watch(const std::weak_ptr<Runs>& runs, const RoleId& role);
  void limit(std::chrono::milliseconds deadline);
  void read();
  void keep(std::size_t bytes);
  void ended();
  void tell();
  /// Before its first process is reaped its pid is its own, and with it the group's number.
  void kill_group() const { ::kill(-process.identity.pid, SIGKILL); }
  void answer(const std::string& failure) {
    if (auto called = std::exchange(done, {})) { called(failure); }
  }
};

Status HealthRunner::Run::start(const std::vector<std::string>& command, const RoleId& role,
                                const std::string& network_namespace) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) { return failure(std::string("no pipe: ") + std::strerror(errno)); }
  output.assign(ends[0]);
  output.non_blocking(true);
  const UniqueFd write_end(ends[1]);
  SpawnOptions options;
  options.command = command;
  options.output_fd = write_end.get();
  options.dies_with_daemon = true;
  options.environment = {"UNDERSTUDY_ROLE=" + role.value};
  options.network_namespace = network_namespace;
  auto spawned = spawn(options, [](const ProcessIdentity&) { return Status{}; });
  if (!spawned) { return spawned.error(); }
  process = std::move(spawned).value();
  end.assign(::fcntl(process.pidfd.get(), F_DUPFD_CLOEXEC, 0));
  return {};
}

void HealthRunner::Run::watch(const std::weak_ptr<Runs>& runs, const RoleId& role) {
  read();
  when_ended(shared_from_this(), end, [self = shared_from_this(), runs, role] {
    self->ended();
    // Behind a read that has its bytes already, in `chunk`, and waits to be told of them.
    asio::post(self->output.get_executor(), [self, runs, role] {
      if (const auto known = runs.lock()) { known->all.erase(role); }
      self->tell();
    });
  });
}

void HealthRunner::Run::read() {
  output.async_read_some(asio::buffer(chunk),
                         [self = shared_from_this()](const boost::system::error_code& error, std::size_t bytes) {
                           self->keep(bytes);
                           if (!error && self->how.empty()) { self->read(); }
                         });
}

void HealthRunner::Run::keep(std::size_t bytes) {
  tail.append(chunk.data(), bytes);
  if (tail.size() > 2 * tail_bytes) { tail.erase(0, tail.size() - tail_bytes); }
}

void HealthRunner::Run::limit(std::chrono::milliseconds deadline) {
  timer.expires_after(deadline);
  timer.async_wait([self = shared_from_this(), deadline](const boost::system::error_code& error) {
    if (error || !self->how.empty()) { return; }
    if (!self->too_long.empty()) {
      self->answer(self->too_long + ", and SIGKILL has not ended it either: it hangs in the kernel");
      return;
    }
    self->too_long = "it did not end within " + std::to_string(deadline.count()) + " ms and was killed";
    self->kill_group();
    self->limit(kill_limit);
  });
}

void HealthRunner::Run::ended() {
  timer.cancel();
  kill_group();  // what it left behind
  how = collect_exit(process.pidfd);
  boost::system::error_code error;
  output.cancel(error);
}

void HealthRunner::Run::tell() {
  boost::system::error_code error;
  for (int i = 0; i < last_reads_max && !error; ++i) { keep(output.read_some(asio::buffer(chunk), error)); }
  output.close(error);
  if (!too_long.empty()) { return answer(too_long); }
  if (how == "ended with status 0") { return answer(""); }
  const auto line = last_line_of(tail);
  answer(how + (line.empty() ? "" : ": " + line));
}

HealthRunner::HealthRunner(asio::io_context& io) : io_(io), runs_(std::make_shared<Runs>()) {}

HealthRunner::~HealthRunner() {
  for (auto& [role, run] : runs_->all) {
    run->done = {};
    if (run->how.empty()) { run->kill_group(); }
  }
}

void HealthRunner::run(const RoleId& role, const link::HealthSpec& health, const std::string& network_namespace,
                       Done done) {
  const auto refuse = [&](const std::string& why) { asio::post(io_, [done, why] { done(why); }); };
  if (runs_->all.contains(role)) { return refuse("the one before has not ended, although it was killed"); }
  auto run = std::make_shared<Run>(io_, done);
  if (auto started = run->start(health.command, role, network_namespace); !started) {
    return refuse(started.error().message);
  }
  runs_->all[role] = run;
  run->watch(runs_, role);
  run->limit(std::chrono::milliseconds(health.deadline_ms));
}

}  // namespace understudy::host
