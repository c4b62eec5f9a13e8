// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/agent_channel.hpp"

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <deque>

#include "understudy/common/log.hpp"

namespace understudy::host {
namespace {

namespace asio = boost::asio;
namespace guest = link::guest;
using Socket = asio::local::stream_protocol::socket;

constexpr std::chrono::milliseconds reconnect_pause{20};
constexpr std::size_t outgoing_bytes_max = 4 * guest::line_bytes_max;
constexpr std::uint64_t logged_bad_lines_max = 5;

}  // namespace

struct AgentChannel::Impl : std::enable_shared_from_this<AgentChannel::Impl> {
  Impl(asio::io_context& context, std::string given_name, Callbacks given)
      : io(context), name(std::move(given_name)), callbacks(std::move(given)), socket(context), timer(context) {}

  asio::io_context& io;
  std::string name;
  Callbacks callbacks;
  bool silent = false;  ///< the owner is gone: no callback any more (they may be running just now, so they stay)
  std::string path;
  Socket socket;
  std::uint64_t connection = 0;  ///< 0 after close(); handlers of an earlier one end
  std::uint64_t connections = 0;
  bool connected = false;
  std::string instance;  ///< of the guest-agent that we talk to; empty: no conversation
  asio::steady_timer timer;
  guest::LineReader lines;
  std::array<char, 16384> buffer{};
  std::deque<std::string> outgoing;
  std::size_t outgoing_bytes = 0;
  std::uint64_t bad_lines = 0;

  void try_connect() {
    connection = ++connections;
    socket = Socket(io);
    socket.async_connect(asio::local::stream_protocol::endpoint(path),
                         [weak = weak_from_this(), mine = connection](boost::system::error_code error) {
                           const auto self = weak.lock();
                           if (!self || self->connection != mine) { return; }
                           if (error) { return self->reconnect_later(); }
                           self->connected = true;
                           self->lines.reset();
                           self->ask_who();
                           self->read_more(mine);
                         });
  }

  /// An empty line first: it ends whatever a former connection left half written.
  void ask_who() { write("\n" + guest::to_line(guest::Identify{})); }

  void reconnect_later() {
    drop_connection();
    timer.expires_after(reconnect_pause);
    timer.async_wait([weak = weak_from_this(), mine = connection](boost::system::error_code error) {
      const auto self = weak.lock();
      if (self && !error && self->connection == mine) { self->try_connect(); }
    });
  }

  void drop_connection() {
    connection = connection == 0 ? 0 : ++connections;
    connected = false;
    boost::system::error_code ignored;
    socket.close(ignored);
    outgoing.clear();
    outgoing_bytes = 0;
    end_conversation();
  }

  void end_conversation() {
    if (instance.empty()) { return; }
    instance.clear();
    if (callbacks.on_lost && !silent) { callbacks.on_lost(); }
  }

  void read_more(std::uint64_t mine) {
    socket.async_read_some(asio::buffer(buffer),
                           [weak = weak_from_this(), mine](boost::system::error_code error, std::size_t count) {
                             const auto self = weak.lock();
                             if (!self || self->connection != mine) { return; }
                             if (error) { return self->reconnect_later(); }
                             self->lines.feed(std::string_view(self->buffer.data(), count), [&](std::string_view line) {
                               if (self->connection == mine) { self->on_line(line); }
                             });
                             if (self->connection == mine) { self->read_more(mine); }
                           });
  }

  void on_line(std::string_view line) {
    auto event = guest::parse_event(line);
    if (!event) { return on_bad_line(event.error()); }
    if (const auto* hello = std::get_if<guest::Hello>(&*event); hello != nullptr) {
      if (hello->instance == instance) { return; }  // the answer to Identify, after one of its own accord
      end_conversation();
      instance = hello->instance;
      if (callbacks.on_hello) { callbacks.on_hello(*hello); }
      return;
    }
    if (!instance.empty() && callbacks.on_event) { callbacks.on_event(*event); }
  }

  void on_bad_line(const Error& error) {
    if (++bad_lines > logged_bad_lines_max) { return; }
    log::warn("{}: what the guest said is skipped: {}", name, error.message);
  }

  void write(std::string text) {
    outgoing_bytes += text.size();
    outgoing.push_back(std::move(text));
    if (outgoing.size() == 1) { write_next(); }
  }

  void write_next() {
    // The text is the handler's own, since a lost connection clears the queue.
    auto text = std::make_shared<std::string>(outgoing.front());
    asio::async_write(socket, asio::buffer(*text),
                      [weak = weak_from_this(), mine = connection, text](boost::system::error_code error, std::size_t) {
                        const auto self = weak.lock();
                        if (!self || self->connection != mine || error) { return; }  // the reader notices an error, too
                        self->outgoing_bytes -= text->size();
                        self->outgoing.pop_front();
                        if (!self->outgoing.empty()) { self->write_next(); }
                      });
  }
};

AgentChannel::AgentChannel(asio::io_context& io, std::string name, Callbacks callbacks)
    : impl_(std::make_shared<Impl>(io, std::move(name), std::move(callbacks))) {}

AgentChannel::~AgentChannel() {
  impl_->silent = true;
  close();
}

void AgentChannel::open(const std::string& socket_path) {
  close();
  impl_->path = socket_path;
  impl_->try_connect();
}

void AgentChannel::close() {
  impl_->drop_connection();
  impl_->connection = 0;
  impl_->timer.cancel();
}

Status AgentChannel::send(const guest::GuestOrder& order) {
  if (!in_conversation()) {
    return failure(impl_->name + ": no guest-agent is connected, the order was not sent", Errc::Refused);
  }
  auto line = guest::to_line(order);
  if (line.size() > guest::line_bytes_max) { return failure(impl_->name + ": an order is too long", Errc::BadInput); }
  if (impl_->outgoing_bytes + line.size() > outgoing_bytes_max) {
    return failure(impl_->name + ": the guest-agent does not read its orders", Errc::Full);
  }
  impl_->write(std::move(line));
  return {};
}

void AgentChannel::on_guest_end(bool open) {
  if (!open) { return impl_->end_conversation(); }
  // News of the port and the hello come by different sockets: this news may be about the time before a hello that was
  // heard already. Asking once more opens the conversation in either order.
  if (impl_->connected) { impl_->ask_who(); }
}

bool AgentChannel::in_conversation() const { return impl_->connected && !impl_->instance.empty(); }

std::uint64_t AgentChannel::bad_line_count() const { return impl_->bad_lines + impl_->lines.skipped_count(); }

}  // namespace understudy::host
