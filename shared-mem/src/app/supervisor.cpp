// SPDX-License-Identifier: Apache-2.0
#include "understudy/app/supervisor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <filesystem>
#include <optional>

#include "connection.hpp"
#include "process.hpp"
#include "understudy/common/process_end.hpp"

namespace understudy::app {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;

std::string ApplicationExit::describe() const {
  if (!known) { return "ended, how is not known (it was started by a former agent)"; }
  if (signal != 0) { return "ended by signal " + std::to_string(signal); }
  return "ended with status " + std::to_string(status);
}

struct Supervisor::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, ApplicationOptions given, Callbacks given_callbacks)
      : io(context),
        options(std::move(given)),
        callbacks(std::move(given_callbacks)),
        socket_path(options.run_dir + "/" + options.name + ".sock"),
        pid_path(options.run_dir + "/" + options.name + ".pid"),
        exit_watch(context),
        acceptor(context),
        order_timer(context),
        stop_timer(context) {}

  asio::io_context& io;
  ApplicationOptions options;
  Callbacks callbacks;
  std::string socket_path;
  std::string pid_path;

  std::optional<Process> process;
  bool adopted = false;
  ApplicationStatus status;
  asio::posix::stream_descriptor exit_watch;  ///< a copy of the pidfd

  Protocol::acceptor acceptor;
  std::shared_ptr<Connection> connection;

  std::uint64_t last_number = 0;
  std::optional<Order> standing_order;  ///< not acknowledged yet; sent again with each new connection
  bool waiting_for_ready = false;
  Done order_done;
  asio::steady_timer order_timer;

  bool stopping = false;
  std::vector<Done> stop_done;
  asio::steady_timer stop_timer;

  Status open_socket();
  void accept();
  void greet(Connection::Socket socket);
  void on_line(const StatusLine& line);
  void changed(const ApplicationStatus& before);

  Status find_or_start();
  void watch_exit();
  void ended();

  void order(OrderKind kind, Term term, Deadline deadline, Done done);
  void await_order(Deadline deadline, Done done);
  void finish_order(Status outcome);
  void call(Done done, Status outcome);

  void stop(const StopDeadlines& deadlines, Done done);
  void signal_after(Deadline delay, int signal, std::function<void()> then);
  void finish_stop(const Status& outcome);
};

// --- the socket ---

Status Supervisor::Impl::open_socket() {
  if (acceptor.is_open()) { return {}; }
  std::error_code made;
  std::filesystem::create_directories(options.run_dir, made);
  if (made) { return failure("cannot make " + options.run_dir + ": " + made.message()); }
  if (socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return failure(socket_path + " is longer than a Unix socket's path may be", Errc::BadInput);
  }
  ::unlink(socket_path.c_str());  // of a former agent
  boost::system::error_code error;
  acceptor.open(Protocol{}, error);
  const auto old_mask = ::umask(0177);  // from the first instant for its owner only
  if (!error) { acceptor.bind(Protocol::endpoint(socket_path), error); }
  ::umask(old_mask);
  if (!error) { acceptor.listen(8, error); }
  if (error) {
    boost::system::error_code ignored;
    acceptor.close(ignored);
    return failure("cannot listen on " + socket_path + ": " + error.message());
  }
  accept();
  return {};
}

void Supervisor::Impl::accept() {
  acceptor.async_accept([weak = weak_from_this()](auto error, Connection::Socket socket) {
    const auto self = weak.lock();
    if (!self || !self->acceptor.is_open()) { return; }
    if (!error) { self->greet(std::move(socket)); }
    self->accept();
  });
}

void Supervisor::Impl::greet(Connection::Socket socket) {
  auto fresh = std::make_shared<Connection>(std::move(socket));
  const auto peer = fresh->peer_pid();
  if (!process || peer <= 0 || ::getpgid(peer) != process->identity.pid) { return fresh->close(); }
  if (connection) { connection->close(); }  // the application connects again only when the former one is of no use
  connection = fresh;
  fresh->start({[weak = weak_from_this()](const StatusLine& line) {
                  if (const auto self = weak.lock()) { self->on_line(line); }
                },
                [weak = weak_from_this(), raw = fresh.get()] {
                  const auto self = weak.lock();
                  if (!self || self->connection.get() != raw) { return; }
                  self->connection.reset();
                  const auto before = self->status;
                  self->status.connected = false;
                  self->changed(before);
                }});
  if (standing_order) { fresh->send(encode(*standing_order)); }
}

void Supervisor::Impl::on_line(const StatusLine& line) {
  const auto before = status;
  status.connected = true;
  status.ready = line.ready;
  status.needs_quiescing = line.needs_quiescing;
  status.quiesced = line.quiesced;
  status.duty = line.duty;
  status.term = line.term;
  status.reason = line.reason;
  status.unfit = line.unfit;
  if (standing_order && line.order == standing_order->number) {
    const auto& wanted = *standing_order;
    const bool done = (wanted.kind == OrderKind::StandBy && line.duty == Duty::StandingBy) ||
                      (wanted.kind == OrderKind::Activate && line.duty == Duty::Active && line.term == wanted.term) ||
                      (wanted.kind == OrderKind::Quiesce && line.duty == Duty::Quiescing && line.quiesced);
    if (line.refused) {
      finish_order(failure(options.name + " refused to " + to_string(wanted.kind) + ": " + line.reason, Errc::Refused));
    } else if (done) {
      finish_order({});
    }
  }
  if (waiting_for_ready && line.ready) { finish_order({}); }
  changed(before);
}

void Supervisor::Impl::changed(const ApplicationStatus& before) {
  if (before != status && callbacks.on_status) { callbacks.on_status(status); }
}

// --- the process ---

Status Supervisor::Impl::find_or_start() {
  if (process) { return failure(options.name + " runs already", Errc::Refused); }
  if (auto opened = open_socket(); !opened) { return opened; }
  auto found = find_running(pid_path);
  adopted = found.ok();
  if (!found) {
    SpawnOptions spawn_options{options.command, options.environment, options.network_namespace, options.log_path,
                               pid_path};
    for (const auto& [name, value] : {std::pair<std::string, std::string>{"UNDERSTUDY_REGION", options.region_path},
                                      {"UNDERSTUDY_REGION_BYTES", std::to_string(options.region_bytes)},
                                      {"UNDERSTUDY_STORE", options.store},
                                      {"UNDERSTUDY_AGENT", socket_path}}) {
      spawn_options.environment.emplace_back(name, value);
    }
    if (options.region_offset != 0) {
      spawn_options.environment.emplace_back("UNDERSTUDY_REGION_OFFSET", std::to_string(options.region_offset));
    }
    found = spawn(spawn_options);
  }
  if (!found) { return found.error(); }
  process = std::move(found).value();
  const auto before = std::exchange(status, {});
  status.running = true;
  status.pid = process->identity.pid;
  watch_exit();
  changed(before);
  return {};
}

void Supervisor::Impl::watch_exit() {
  boost::system::error_code error;
  const int copy = ::fcntl(process->pidfd.get(), F_DUPFD_CLOEXEC, 0);
  exit_watch.assign(copy, error);
  UNDERSTUDY_ASSERT(!error);  // out of descriptors: an agent that cannot watch is of no use
  when_ended(shared_from_this(), exit_watch, [this] {
    if (process) { ended(); }
  });
}

void Supervisor::Impl::ended() {
  ApplicationExit report;
  report.expected = stopping;
  siginfo_t info{};
  const auto pidfd = static_cast<id_t>(process->pidfd.get());
  if (::waitid(P_PIDFD, pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    ::kill(-process->identity.pid, SIGKILL);  // what it left behind; before it is reaped the group is still its own
    ::waitid(P_PIDFD, pidfd, &info, WEXITED | WNOHANG);
    report.known = true;
    report.status = info.si_code == CLD_EXITED ? info.si_status : 0;
    report.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
  }
  ::unlink(pid_path.c_str());
  boost::system::error_code ignored;
  exit_watch.close(ignored);
  if (connection) { connection->close(); }
  connection.reset();
  process.reset();
  const auto before = std::exchange(status, {});
  finish_order(failure(options.name + " " + report.describe()));
  changed(before);
  const auto told = callbacks.on_exit;  // it may start the application again
  finish_stop({});                      // posted: after on_exit
  if (told) { told(report); }
}

// --- orders ---

void Supervisor::Impl::call(Done done, Status outcome) {
  if (!done) { return; }
  asio::post(io, [done = std::move(done), outcome = std::move(outcome)] { done(outcome); });
}

void Supervisor::Impl::finish_order(Status outcome) {
  standing_order.reset();
  waiting_for_ready = false;
  order_timer.cancel();
  call(std::exchange(order_done, {}), std::move(outcome));
}

void Supervisor::Impl::await_order(Deadline deadline, Done done) {
  order_done = std::move(done);
  order_timer.expires_after(deadline);
  order_timer.async_wait([weak = weak_from_this(), number = last_number](auto error) {
    const auto self = weak.lock();
    if (error || !self || self->last_number != number) { return; }
    self->call(std::exchange(self->order_done, {}),
               failure(self->options.name + " did not answer its order in time", Errc::Expired));
  });
}

void Supervisor::Impl::order(OrderKind kind, Term term, Deadline deadline, Done done) {
  finish_order(failure("another order came first", Errc::Refused));
  if (!process) { return call(std::move(done), failure(options.name + " does not run")); }
  if (stopping) { return call(std::move(done), failure(options.name + " is being stopped", Errc::Refused)); }
  standing_order = Order{kind, term, ++last_number};
  await_order(deadline, std::move(done));
  if (connection) { connection->send(encode(*standing_order)); }
}

// --- its end ---

void Supervisor::Impl::signal_after(Deadline delay, int signal, std::function<void()> then) {
  stop_timer.expires_after(delay);
  stop_timer.async_wait([weak = weak_from_this(), signal, then = std::move(then)](auto error) {
    const auto self = weak.lock();
    if (error || !self || !self->process || !self->stopping) { return; }
    // It fails only for a process that has just ended, which the pidfd tells next.
    if (signal != 0) { static_cast<void>(send_signal(*self->process, signal)); }
    if (then) { then(); }
  });
}

void Supervisor::Impl::stop(const StopDeadlines& deadlines, Done done) {
  if (!process) { return call(std::move(done), {}); }
  stop_done.push_back(std::move(done));
  if (stopping) { return; }
  finish_order(failure(options.name + " is being stopped", Errc::Refused));
  stopping = true;
  if (connection) { connection->send(encode(Order{OrderKind::Stop, Term{}, ++last_number})); }
  const auto give_up = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self) { self->finish_stop(failure(self->options.name + " did not end after SIGKILL", Errc::Expired)); }
  };
  const auto kill = [weak = weak_from_this(), give_up, wait = deadlines.kill] {
    if (const auto self = weak.lock()) { self->signal_after(wait, 0, give_up); }
  };
  const auto terminate = [weak = weak_from_this(), kill, wait = deadlines.terminate] {
    if (const auto self = weak.lock()) { self->signal_after(wait, SIGKILL, kill); }
  };
  signal_after(connection ? deadlines.ask : Deadline{0}, SIGTERM, terminate);
}

void Supervisor::Impl::finish_stop(const Status& outcome) {
  stopping = false;
  stop_timer.cancel();
  for (auto& done : std::exchange(stop_done, {})) { call(std::move(done), outcome); }
}

// --- the face ---

Supervisor::Supervisor(asio::io_context& io, ApplicationOptions options, Callbacks callbacks)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(callbacks))) {}

Supervisor::~Supervisor() {
  impl_->callbacks = {};
  impl_->order_done = {};
  impl_->stop_done.clear();
  if (impl_->connection) { impl_->connection->close(); }
}

Status Supervisor::start() { return impl_->find_or_start(); }
bool Supervisor::adopted() const { return impl_->adopted; }
const ApplicationStatus& Supervisor::status() const { return impl_->status; }
const std::string& Supervisor::socket_path() const { return impl_->socket_path; }

void Supervisor::wait_ready(Deadline deadline, Done done) {
  impl_->finish_order(failure("another order came first", Errc::Refused));
  if (!impl_->process) { return impl_->call(std::move(done), failure(impl_->options.name + " does not run")); }
  if (impl_->status.connected && impl_->status.ready) { return impl_->call(std::move(done), {}); }
  ++impl_->last_number;
  impl_->waiting_for_ready = true;
  impl_->await_order(deadline, std::move(done));
}

void Supervisor::stand_by(Deadline deadline, Done done) {
  impl_->order(OrderKind::StandBy, Term{}, deadline, std::move(done));
}
void Supervisor::activate(Term term, Deadline deadline, Done done) {
  impl_->order(OrderKind::Activate, term, deadline, std::move(done));
}
void Supervisor::quiesce(Deadline deadline, Done done) {
  impl_->order(OrderKind::Quiesce, Term{}, deadline, std::move(done));
}
void Supervisor::stop(StopDeadlines deadlines, Done done) { impl_->stop(deadlines, std::move(done)); }

void Supervisor::kill_now() {
  if (impl_->process) { static_cast<void>(send_signal(*impl_->process, SIGKILL)); }
}

}  // namespace understudy::app
