// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/qmp_client.hpp"

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <deque>
#include <map>

#include "understudy/link/guest_channel.hpp"

namespace understudy::host {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using Socket = asio::local::stream_protocol::socket;

constexpr std::size_t qmp_line_bytes_max = std::size_t{1} << 20;
constexpr std::size_t pending_commands_max = 64;
constexpr std::chrono::milliseconds connect_retry{10};

}  // namespace

struct QmpClient::Impl : std::enable_shared_from_this<QmpClient::Impl> {
  enum class Phase { Closed, Connecting, Greeting, Negotiating, Ready };
  struct Command {
    std::unique_ptr<asio::steady_timer> timer;
    Answer done;
  };
  struct Freeze {
    std::uint64_t id = 0;
    Clock::time_point begun;
    Timed done;
  };

  Impl(asio::io_context& context, Callbacks given)
      : io(context), callbacks(std::move(given)), socket(context), connect_timer(context), greeting_timer(context) {}

  asio::io_context& io;
  Callbacks callbacks;
  bool silent = false;  ///< the owner is gone: no callback any more (they may be running just now, so they stay)
  Phase phase = Phase::Closed;
  Socket socket;
  std::uint64_t connection = 0;  ///< handlers of an earlier one are recognised and end
  asio::steady_timer connect_timer;
  asio::steady_timer greeting_timer;
  Clock::time_point connect_until;
  std::string path;
  Done connect_done;
  link::guest::LineReader lines{qmp_line_bytes_max};
  std::array<char, 16384> buffer{};
  std::deque<std::string> outgoing;
  std::uint64_t next_id = 1;
  std::map<std::uint64_t, Command> pending;
  std::vector<Freeze> freezes;

  void later(std::function<void()> call) { asio::post(io, std::move(call)); }

  // --- connecting ---
  void try_connect() {
    phase = Phase::Connecting;
    socket = Socket(io);
    const auto mine = ++connection;
    socket.async_connect(asio::local::stream_protocol::endpoint(path),
                         [weak = weak_from_this(), mine](boost::system::error_code error) {
                           const auto self = weak.lock();
                           if (!self || self->connection != mine) { return; }
                           if (error) { return self->retry(error.message()); }
                           self->phase = Phase::Greeting;
                           self->lines.reset();
                           self->read_more(mine);
                         });
  }

  void retry(const std::string& reason) {
    if (Clock::now() >= connect_until) { return finish_connect(failure(path + ": " + reason, Errc::Expired)); }
    connect_timer.expires_after(connect_retry);
    connect_timer.async_wait([weak = weak_from_this(), mine = connection](boost::system::error_code error) {
      const auto self = weak.lock();
      if (self && !error && self->connection == mine) { self->try_connect(); }
    });
  }

  void watch_greeting() {
    // From connection to Ready QEMU answers at once; a socket that accepts and says nothing must not hold us.
    greeting_timer.expires_at(connect_until);
    greeting_timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (!self || error || !self->connect_done) { return; }
      self->fail(failure(self->path + ": QMP did not become ready", Errc::Expired));
    });
  }

  void finish_connect(const Status& status) {
    if (!status) { shut(); }
    greeting_timer.cancel();
    if (auto done = std::exchange(connect_done, nullptr)) {
      later([done = std::move(done), status] { done(status); });
    }
  }

  // --- reading ---
  void read_more(std::uint64_t mine) {
    socket.async_read_some(asio::buffer(buffer),
                           [weak = weak_from_this(), mine](boost::system::error_code error, std::size_t count) {
                             const auto self = weak.lock();
                             if (!self || self->connection != mine) { return; }
                             if (error) { return self->fail(failure("QMP: " + error.message())); }
                             self->lines.feed(std::string_view(self->buffer.data(), count),
                                              [&](std::string_view line) { self->on_line(line, mine); });
                             if (self->connection == mine && self->phase != Phase::Closed) { self->read_more(mine); }
                           });
  }

  void on_line(std::string_view line, std::uint64_t mine) {
    if (connection != mine || phase == Phase::Closed) { return; }  // a former line of this buffer ended it
    if (line == "\r") { return; }
    json::error_code error;
    json::parse_options options;
    options.max_depth = 32;
    const auto value = json::parse(json::string_view(line.data(), line.size()), error, {}, options);
    const auto* object = error ? nullptr : value.if_object();
    if (object == nullptr) { return fail(failure("QMP: a line is not a JSON object", Errc::Damaged)); }
    if (const auto* name = object->if_contains("event"); name != nullptr && name->is_string()) {
      return on_event(std::string(name->get_string()), *object);
    }
    if (object->contains("QMP") && phase == Phase::Greeting) { return negotiate(); }
    const auto* id = object->if_contains("id");
    if (id == nullptr || !id->is_number()) { return; }  // an answer to nothing that we asked
    json::error_code not_ours;
    const auto number = id->to_number<std::uint64_t>(not_ours);
    if (!not_ours) { on_answer(number, *object); }
  }

  void negotiate() {
    phase = Phase::Negotiating;
    send("qmp_capabilities", {}, std::chrono::seconds(5),
         [weak = weak_from_this(), mine = connection](Result<json::value> answer) {
           const auto self = weak.lock();
           if (!self || self->connection != mine) { return; }
           if (!answer) { return self->fail(answer.error()); }
           self->phase = Phase::Ready;
           self->finish_connect({});
         });
  }

  void on_event(const std::string& name, const json::object& object) {
    if (name == "STOP") { finish_freezes(); }
    QmpEvent event{name, {}};
    if (const auto* data = object.if_contains("data"); data != nullptr && data->is_object()) {
      event.data = data->get_object();
    }
    if (callbacks.on_event) {
      later([weak = weak_from_this(), event = std::move(event)] {
        const auto self = weak.lock();
        if (self && !self->silent) { self->callbacks.on_event(event); }
      });
    }
  }

  void finish_freezes() {
    const auto now = Clock::now();
    for (auto& freeze : std::exchange(freezes, {})) {
      later([done = std::move(freeze.done), took = Duration(now - freeze.begun)] { done(took); });
    }
  }

  void on_answer(std::uint64_t id, const json::object& object) {
    auto found = pending.find(id);
    if (found == pending.end()) { return; }  // expired meanwhile
    auto done = std::move(found->second.done);
    pending.erase(found);
    if (const auto* result = object.if_contains("return"); result != nullptr) {
      later([done = std::move(done), value = *result] { done(value); });
      return;
    }
    std::string reason = "no reason told";
    if (const auto* error = object.if_contains("error"); error != nullptr && error->is_object()) {
      if (const auto* text = error->get_object().if_contains("desc"); text != nullptr && text->is_string()) {
        reason = std::string(text->get_string());
      }
    }
    later([done = std::move(done), reason] { done(failure("QEMU refused: " + reason, Errc::Refused)); });
  }

  // --- writing ---
  std::uint64_t send(const std::string& command, json::object arguments, Deadline deadline, Answer done) {
    const auto id = next_id++;
    json::object request{{"execute", command}, {"id", id}};
    if (!arguments.empty()) { request["arguments"] = std::move(arguments); }
    auto timer = std::make_unique<asio::steady_timer>(io, deadline);
    timer->async_wait([weak = weak_from_this(), id, command, deadline](boost::system::error_code error) {
      const auto self = weak.lock();
      if (self && !error) { self->expire(id, command, deadline); }
    });
    pending.emplace(id, Command{std::move(timer), std::move(done)});
    outgoing.push_back(json::serialize(request) + "\n");
    if (outgoing.size() == 1) { write_next(); }
    return id;
  }

  void write_next() {
    asio::async_write(socket, asio::buffer(outgoing.front()),
                      [self = shared_from_this(), mine = connection](boost::system::error_code error, std::size_t) {
                        if (self->connection != mine) { return; }
                        if (error) { return self->fail(failure("QMP: " + error.message())); }
                        self->outgoing.pop_front();
                        if (!self->outgoing.empty()) { self->write_next(); }
                      });
  }

  void expire(std::uint64_t id, const std::string& command, Deadline deadline) {
    auto found = pending.find(id);
    if (found == pending.end()) { return; }
    auto done = std::move(found->second.done);
    pending.erase(found);
    done(failure("QEMU did not answer " + command + " within " + std::to_string(deadline.count()) + " ms",
                 Errc::Expired));
  }

  // --- ending ---
  void shut() {
    ++connection;
    phase = Phase::Closed;
    boost::system::error_code ignored;
    socket.close(ignored);
    connect_timer.cancel();
    // Buffers of a write in flight live until its handler has run; it holds the Impl and sees another connection.
    later([kept = std::move(outgoing)] {});
    outgoing.clear();
  }

  void fail(const Error& error) {
    if (phase == Phase::Closed) { return; }
    const bool was_ready = phase == Phase::Ready;
    const bool retryable = !was_ready && connect_done && Clock::now() < connect_until;
    shut();
    for (auto& [id, command] : std::exchange(pending, {})) {
      later([done = std::move(command.done), error] { done(error); });
    }
    for (auto& freeze : std::exchange(freezes, {})) {
      later([done = std::move(freeze.done), error] { done(error); });
    }
    if (retryable) { return retry(error.message); }
    finish_connect(error);
    if (was_ready && callbacks.on_closed) {
      later([weak = weak_from_this(), error] {
        const auto self = weak.lock();
        if (self && !self->silent) { self->callbacks.on_closed(error); }
      });
    }
  }
};

QmpClient::QmpClient(asio::io_context& io, Callbacks callbacks)
    : impl_(std::make_shared<Impl>(io, std::move(callbacks))) {}

QmpClient::~QmpClient() {
  impl_->silent = true;
  impl_->connect_done = nullptr;
  impl_->pending.clear();
  impl_->freezes.clear();
  impl_->shut();
}

void QmpClient::connect(const std::string& socket_path, Deadline deadline, Done done) {
  impl_->shut();
  impl_->path = socket_path;
  impl_->connect_until = Clock::now() + deadline;
  impl_->connect_done = std::move(done);
  impl_->try_connect();
  impl_->watch_greeting();
}

bool QmpClient::ready() const { return impl_->phase == Impl::Phase::Ready; }

void QmpClient::execute(const std::string& command, json::object arguments, Deadline deadline, Answer done) {
  if (!ready() || impl_->pending.size() >= pending_commands_max) {
    const char* reason = ready() ? "too many commands wait for QEMU" : "QMP is not connected";
    impl_->later([done = std::move(done), reason] { done(failure(reason, Errc::Refused)); });
    return;
  }
  impl_->send(command, std::move(arguments), deadline, std::move(done));
}

void QmpClient::freeze(Deadline deadline, Timed done) {
  const auto begun = Clock::now();
  const auto id = impl_->next_id;  // of the command below
  if (ready()) { impl_->freezes.push_back({id, begun, std::exchange(done, nullptr)}); }
  execute("stop", {}, deadline,
          [weak = std::weak_ptr(impl_), id, begun, unsent = std::move(done)](Result<json::value> answer) {
            const auto self = weak.lock();
            if (!self) { return; }
            // No STOP came before the answer: it stood still already, or this is a failure.
            Timed waiting = unsent;
            for (auto freeze = self->freezes.begin(); freeze != self->freezes.end(); ++freeze) {
              if (freeze->id != id) { continue; }
              waiting = std::move(freeze->done);
              self->freezes.erase(freeze);
              break;
            }
            if (!waiting) { return; }
            if (answer) { return waiting(Duration(Clock::now() - begun)); }
            waiting(answer.error());
          });
}

namespace {
QmpClient::Answer without_value(QmpClient::Done done) {
  return [done = std::move(done)](Result<json::value> answer) { done(answer ? Status() : Status(answer.error())); };
}
}  // namespace

void QmpClient::thaw(Deadline deadline, Done done) { execute("cont", {}, deadline, without_value(std::move(done))); }
void QmpClient::quit(Deadline deadline, Done done) { execute("quit", {}, deadline, without_value(std::move(done))); }
void QmpClient::powerdown(Deadline deadline, Done done) {
  execute("system_powerdown", {}, deadline, without_value(std::move(done)));
}
void QmpClient::set_link(const std::string& netdev, bool up, Deadline deadline, Done done) {
  execute("set_link", {{"name", netdev}, {"up", up}}, deadline, without_value(std::move(done)));
}

void QmpClient::close() { impl_->fail(failure("QMP was closed")); }

}  // namespace understudy::host
