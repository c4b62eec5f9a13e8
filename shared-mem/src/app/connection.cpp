// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace understudy::app {

namespace {
constexpr std::size_t max_queued_bytes = 64 * 1024;  ///< an application that reads nothing is left
}

pid_t Connection::peer_pid() {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) { return 0; }
  return credentials.pid;
}

void Connection::start(Callbacks callbacks) {
  callbacks_ = std::move(callbacks);
  read();
}

void Connection::read() {
  socket_.async_read_some(boost::asio::buffer(buffer_), [self = shared_from_this()](auto error, std::size_t size) {
    if (!self->socket_.is_open()) { return; }
    if (error || !self->lines_.append({self->buffer_.data(), size})) { return self->broken(); }
    while (auto line = self->lines_.next()) {
      const auto status = decode_status(*line);
      if (!status) { return self->broken(); }
      self->callbacks_.on_status(status.value());
      if (!self->socket_.is_open()) { return; }  // the callback closed us
    }
    self->read();
  });
}

void Connection::send(std::string line) {
  if (!socket_.is_open()) { return; }
  queued_ += line;
  if (queued_.size() > max_queued_bytes) { return broken(); }
  if (writing_.empty()) { write(); }
}

void Connection::write() {
  writing_ = std::exchange(queued_, {});
  boost::asio::async_write(socket_, boost::asio::buffer(writing_),
                           [self = shared_from_this()](auto error, std::size_t) {
                             self->writing_.clear();
                             if (!self->socket_.is_open()) { return; }
                             if (error) { return self->broken(); }
                             if (!self->queued_.empty()) { self->write(); }
                           });
}

void Connection::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  callbacks_.on_closed = {};  // not on_status: this may be called from within it
}

void Connection::broken() {
  const auto closed = std::exchange(callbacks_.on_closed, {});
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (closed) { closed(); }
}

}  // namespace understudy::app
