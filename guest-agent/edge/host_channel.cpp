// SPDX-License-Identifier: Apache-2.0
#include "edge/host_channel.hpp"

#include <fcntl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>

#include "understudy/common/log.hpp"

namespace understudy::guest {

namespace {
constexpr std::size_t outgoing_max = 1024;  ///< events; the host reads, or it will ask again after its restart
}

HostChannel::HostChannel(boost::asio::io_context& io, std::function<void(const link::guest::GuestOrder&)> on_order)
    : port_(io), on_order_(std::move(on_order)) {}

Status HostChannel::open(const std::string& path) {
  const int port = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (port < 0) {
    return failure("cannot open the agent's port " + path + ": " + std::to_string(errno), Errc::NotFound);
  }
  port_.assign(port);
  read();
  return {};
}

void HostChannel::read() {
  port_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) { return; }
    const auto got = ::read(port_.native_handle(), incoming_.data(), incoming_.size());
    if (got > 0) {
      lines_.feed(std::string_view(incoming_.data(), static_cast<std::size_t>(got)), [this](std::string_view line) {
        auto order = link::guest::parse_order(line);
        if (order) {
          on_order_(*order);
        } else {
          log::warn("a line of the host is no order: {}", order.error().message);
        }
      });
    } else if (got == 0) {
      lines_.reset();  // the host's end is closed: the port reads as ended until it is opened again
    }
    read();
  });
}

void HostChannel::send(const link::guest::GuestEvent& event) {
  if (outgoing_.size() >= outgoing_max) { outgoing_.pop_front(); }
  outgoing_.push_back(link::guest::to_line(event));
  if (outgoing_.size() == 1) { write(); }
}

void HostChannel::write() {
  boost::asio::async_write(port_, boost::asio::buffer(outgoing_.front()),
                           [this](const boost::system::error_code& error, std::size_t) {
                             if (error) {
                               log::warn("the host's end of the agent port: {}", error.message());
                               outgoing_.clear();
                               return;
                             }
                             outgoing_.pop_front();
                             if (!outgoing_.empty()) { write(); }
                           });
}

}  // namespace understudy::guest
