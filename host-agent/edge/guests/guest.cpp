// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/guest.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "edge/guests/echo_check.hpp"
#include "edge/guests/guest_logs.hpp"
#include "understudy/common/log.hpp"
#include "understudy/common/process_end.hpp"

namespace understudy::host {
namespace {

namespace asio = boost::asio;
namespace guest = link::guest;

/// Console and QEMU's own messages are a guest's text in the host's memory (/run): bounded.
constexpr std::uint64_t log_bytes_max = std::uint64_t{16} << 20;
constexpr std::size_t kept_events_max = 64;  ///< said before the echo: more than an honest guest has to say
constexpr int nice_idle = 0;                 ///< a mirror that is starved loses its sync, and with it the protection
constexpr int nice_serving = -10;            ///< before anything of the host but its host-agent's real-time thread

}  // namespace

struct Guest::Impl : std::enable_shared_from_this<Guest::Impl> {
  Impl(asio::io_context& context, std::string given_run_dir, GuestCallbacks given)
      : io(context),
        run_dir(std::move(given_run_dir)),
        callbacks(std::move(given)),
        ended(context),
        boot_timer(context) {}

  asio::io_context& io;
  std::string run_dir;
  GuestRecord record;
  GuestCallbacks callbacks;
  bool silent = false;  ///< the owner is gone: no callback any more
  bool gone = false;
  bool spoken = false;
  bool killed = false;
  std::string fault;  ///< why it is no use any more, before it was killed
  UniqueFd pidfd;
  asio::posix::stream_descriptor ended;
  asio::steady_timer boot_timer;
  std::unique_ptr<QmpClient> qmp;
  std::unique_ptr<AgentChannel> agent;
  EchoCheck echo;
  bool slow_told = false;                      ///< once is enough, and a guest may say hello again and again
  std::optional<guest::Hello> greeting;        ///< heard, its echo is not
  std::vector<guest::GuestEvent> kept_events;  ///< said meanwhile: told after the hello
  std::vector<std::function<void()>> gone_waiters;

  [[nodiscard]] std::string name() const { return "mirror-" + record.role; }

  /// Runs `call` from the io_context unless the owner has left by then.
  void tell(std::function<void()> call) {
    asio::post(io, [weak = weak_from_this(), call = std::move(call)] {
      const auto self = weak.lock();
      if (self && !self->silent) { call(); }
    });
  }

  void watch(Deadline boot_deadline) {
    ended.assign(dup(pidfd.get()));
    when_ended(shared_from_this(), ended, [this] { on_process_end(); });
    boot_timer.expires_after(boot_deadline);
    boot_timer.async_wait([weak = weak_from_this(), boot_deadline](boost::system::error_code error) {
      const auto self = weak.lock();
      if (self && !error && !self->spoken && !self->gone) { self->on_boot_deadline(boot_deadline); }
    });
    // They belong to this and are destroyed with it, on the same thread: `this` is safe in their callbacks.
    qmp = std::make_unique<QmpClient>(io, QmpClient::Callbacks{[this](const QmpEvent& event) { on_qmp_event(event); },
                                                               [this](const Error& error) { on_qmp_closed(error); }});
    agent = std::make_unique<AgentChannel>(
        io, name(),
        AgentChannel::Callbacks{[this](const guest::Hello& hello) { on_hello(hello); },
                                [this](const guest::GuestEvent& event) { on_guest_event(event); },
                                [this] {
                                  greeting.reset();
                                  kept_events.clear();
                                  tell([this] { callbacks.on_lost ? callbacks.on_lost() : void(); });
                                }});
    connect_qmp(boot_deadline);
    agent->open(record.agent_socket);
  }

  void connect_qmp(Deadline deadline) {
    qmp->connect(record.qmp_socket, deadline, [this](const Status& status) {
      if (!status && !gone) { log::error("{}: {}", name(), status.error().message); }
    });
  }

  void on_qmp_event(const QmpEvent& event) {
    if (event.name == "VSERPORT_CHANGE") {
      const auto* id = event.data.if_contains("id");
      const auto* open = event.data.if_contains("open");
      if (id != nullptr && id->is_string() && id->get_string() == "agent-port" && open != nullptr && open->is_bool()) {
        agent->on_guest_end(open->get_bool());
      }
    }
    tell([this, event] { callbacks.on_qmp_event ? callbacks.on_qmp_event(event) : void(); });
  }

  void on_qmp_closed(const Error& error) {
    if (gone) { return; }
    // QEMU is ending, which its pidfd tells; or somebody else took the monitor.
    log::info("{}: {}; connecting again", name(), error.message);
    connect_qmp(std::chrono::seconds(10));
  }

  void on_hello(const guest::Hello& hello) {
    greeting = hello;
    kept_events.clear();
    auto asked = echo.ask(record);
    if (asked) { asked = agent->send(guest::EchoOrder{}); }
    if (!asked) { greet(asked); }
  }

  void on_guest_event(const guest::GuestEvent& event) {
    if (const auto* echoed = std::get_if<guest::Echoed>(&event)) {
      if (greeting) { greet(echo.check(record, *echoed)); }
      return;
    }
    if (greeting) {
      if (kept_events.size() < kept_events_max) { kept_events.push_back(event); }
      return;
    }
    tell([this, event] { callbacks.on_event ? callbacks.on_event(event) : void(); });
  }

  /// The conversation begins when guest and host are known to share the region. A guest that serves already is heard
  /// in any case: it is told, and who decides about the role decides.
  void greet(const Status& shared) {
    const auto hello = *std::exchange(greeting, std::nullopt);
    spoken = true;
    boot_timer.cancel();
    if (!shared) {
      fault = shared.error().message;
      tell([this, error = shared.error()] { callbacks.on_failed ? callbacks.on_failed(error) : void(); });
      if (hello.activity == guest::Activity::Idle) { return; }
    }
    if (auto slow = slow_memory(record, hello); slow && !std::exchange(slow_told, true)) {
      tell([this, text = *slow] { callbacks.on_slow_memory ? callbacks.on_slow_memory(text) : void(); });
    }
    tell([this, hello] { callbacks.on_hello ? callbacks.on_hello(hello) : void(); });
    for (const auto& event : std::exchange(kept_events, {})) {
      tell([this, event] { callbacks.on_event ? callbacks.on_event(event) : void(); });
    }
  }

  void on_boot_deadline(Deadline deadline) {
    const std::string missed =
        greeting ? " has said hello, but has not answered the echo test within " : " has not spoken within ";
    const auto error =
        failure(name() + missed + std::to_string(deadline.count()) + " ms" + console_hint(), Errc::Expired);
    fault = error.message;
    tell([this, error] { callbacks.on_failed ? callbacks.on_failed(error) : void(); });
  }

  void on_process_end() {
    std::string how = collect_exit(pidfd);
    if (how.empty()) { how = "ended"; }
    gone = true;
    boot_timer.cancel();
    agent->close();
    qmp->close();
    remove_record(run_dir, record.role);
    for (const auto& socket : {record.qmp_socket, record.agent_socket, record.shell_socket, record.monitor_socket}) {
      if (!socket.empty()) { unlink(socket.c_str()); }
    }
    std::string text = fault.empty() ? name() + ": QEMU " + how : fault;
    if (!killed) {
      text += console_hint();
      if (const auto said = qemu_words(record.qemu_log); !said.empty()) {
        text += "; QEMU said in " + record.qemu_log + ": " + said;
      }
    }
    for (auto& waiter : std::exchange(gone_waiters, {})) { asio::post(io, std::move(waiter)); }
    tell([this, text] { callbacks.on_exit ? callbacks.on_exit(text) : void(); });
  }

  [[nodiscard]] std::string console_hint() const {
    if (!std::filesystem::exists(record.console_log)) { return "; there is no console log " + record.console_log; }
    const std::string line = telling_line(record.console_log);
    return "; see " + record.console_log + (line.empty() ? ", which is empty" : ", it says: " + line);
  }
};

Result<std::unique_ptr<Guest>> Guest::start(asio::io_context& io, GuestOptions options, GuestCallbacks callbacks,
                                            Deadline boot_deadline) {
  if (auto checked = check_options(options); !checked) { return checked.error(); }
  if (auto known = read_record(options.run_dir, options.role); known && open_process(known->process)) {
    return failure("mirror-" + options.role + " runs already, process " + std::to_string(known->process.pid),
                   Errc::Refused);
  }
  auto impl = std::make_shared<Impl>(io, options.run_dir, std::move(callbacks));
  impl->record = plan_record(options);
  for (const auto& log : {impl->record.console_log, impl->record.qemu_log}) { keep_former(log); }
  SpawnOptions spawning;
  spawning.command = qemu_command(options, impl->record);
  spawning.output_path = impl->record.qemu_log;
  spawning.file_bytes_max = log_bytes_max;
  auto spawned = spawn(spawning, [&](const ProcessIdentity& identity) {
    impl->record.process = identity;
    return write_record(options.run_dir, impl->record);
  });
  if (!spawned) {
    remove_record(options.run_dir, options.role);
    return spawned.error();
  }
  impl->pidfd = std::move(spawned->pidfd);
  impl->watch(boot_deadline);
  return std::unique_ptr<Guest>(new Guest(std::move(impl)));
}

Result<std::unique_ptr<Guest>> Guest::adopt(asio::io_context& io, const std::string& run_dir, const std::string& role,
                                            GuestCallbacks callbacks, Deadline boot_deadline) {
  auto record = read_record(run_dir, role);
  if (!record) {
    if (record.error().code != Errc::NotFound) { remove_record(run_dir, role); }
    return failure("no mirror-" + role + " was started here", Errc::NotFound);
  }
  auto pidfd = open_process(record->process);
  if (!pidfd) {
    remove_record(run_dir, role);
    return pidfd.error();
  }
  auto impl = std::make_shared<Impl>(io, run_dir, std::move(callbacks));
  impl->record = *std::move(record);
  impl->pidfd = *std::move(pidfd);
  impl->watch(boot_deadline);
  return std::unique_ptr<Guest>(new Guest(std::move(impl)));
}

Guest::~Guest() {
  impl_->silent = true;
  impl_->boot_timer.cancel();
  boost::system::error_code ignored;
  impl_->ended.close(ignored);
  impl_->gone_waiters.clear();
  impl_->agent.reset();
  impl_->qmp.reset();
}

const GuestRecord& Guest::record() const { return impl_->record; }
bool Guest::gone() const { return impl_->gone; }
bool Guest::has_spoken() const { return impl_->spoken; }
Status Guest::send(const guest::GuestOrder& order) { return impl_->agent->send(order); }
QmpClient& Guest::qmp() { return *impl_->qmp; }
std::string Guest::console_hint() const { return impl_->console_hint(); }

void Guest::when_gone(std::function<void()> done) {
  if (gone()) {
    asio::post(impl_->io, std::move(done));
  } else {
    impl_->gone_waiters.push_back(std::move(done));
  }
}

void Guest::kill(Deadline deadline, Done done) {
  impl_->killed = true;
  if (auto sent = kill_process(impl_->pidfd); !sent) {
    asio::post(impl_->io, [done = std::move(done), sent] { done(sent); });
    return;
  }
  struct Waiting {
    asio::steady_timer timer;
    Done done;
  };
  auto waiting = std::make_shared<Waiting>(Waiting{asio::steady_timer(impl_->io, deadline), std::move(done)});
  const auto finish = [waiting](const Status& status) {
    waiting->timer.cancel();
    if (auto call = std::exchange(waiting->done, nullptr)) { call(status); }
  };
  waiting->timer.async_wait([finish, name = impl_->name(), deadline](boost::system::error_code error) {
    if (error) { return; }
    finish(failure(name + " still exists " + std::to_string(deadline.count()) + " ms after SIGKILL", Errc::Expired));
  });
  when_gone([finish] { finish({}); });
}

/// Nice levels compare within one autogroup, that is, a session; the session's own level is a file (sched(7)). A kernel
/// without autogroups, or a control group of the guest's own, has no use for the file: then the level alone counts.
Status Guest::set_weight(GuestWeight weight) {
  if (gone()) { return failure(impl_->name() + " is gone", Errc::NotFound); }
  const int level = weight == GuestWeight::Serving ? nice_serving : nice_idle;
  const auto pid = impl_->record.process.pid;
  std::ofstream("/proc/" + std::to_string(pid) + "/autogroup") << level;
  // Its process group is its own: all threads of this QEMU, nothing else.
  if (setpriority(PRIO_PGRP, static_cast<id_t>(pid), level) == 0) { return {}; }
  return failure(impl_->name() + ": its CPU share cannot be set: " + std::strerror(errno));
}

}  // namespace understudy::host
