// SPDX-License-Identifier: Apache-2.0
#include "edge/drill.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include "edge/guests/child_process.hpp"
#include "understudy/common/log.hpp"
#include "understudy/common/process_end.hpp"

namespace understudy::host {

namespace {
struct Running {
  Running(boost::asio::io_context& io, UniqueFd process) : pidfd(std::move(process)), ended(io, pidfd.get()) {}
  ~Running() { ended.release(); }  // pidfd owns it
  UniqueFd pidfd;
  boost::asio::posix::stream_descriptor ended;
};
constexpr std::uint64_t log_bytes_max = 1U << 20;
}  // namespace

void run_drill(boost::asio::io_context& io, std::vector<std::string> command, const std::string& role,
               const std::string& log_path, std::function<void(Status)> done) {
  log::warn("{}: the movement waits for the drill {}", role, command.front());
  const std::string name = command.front();
  SpawnOptions options;
  options.command = std::move(command);
  options.command.push_back(role);
  options.output_path = log_path;
  options.file_bytes_max = log_bytes_max;
  options.dies_with_daemon = true;
  auto spawned = spawn(options, [](const ProcessIdentity&) { return Status(); });
  if (!spawned) {
    done(spawned.error());
    return;
  }
  auto running = std::make_shared<Running>(io, std::move(spawned->pidfd));
  when_ended(running, running->ended, [running, name, done = std::move(done)] {
    const auto how = collect_exit(running->pidfd);
    done(how == "ended with status 0" ? Status() : failure("the drill " + name + " " + how));
  });
}

}  // namespace understudy::host
