// SPDX-License-Identifier: Apache-2.0
#include "edge/nic_markers.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "understudy/common/log.hpp"

namespace understudy::guest {

Status NicMarkers::open(const link::RoleSpec& spec,
                        const std::vector<std::pair<std::string, std::string>>& interfaces) {
  give_up();
  nics_.clear();
  for (const auto& [port, interface] : interfaces) {
    const auto found = std::find_if(spec.ports.begin(), spec.ports.end(),
                                    [&name = port](const link::PortSpec& one) { return one.name == name; });
    if (found == spec.ports.end()) { continue; }
    auto marker = net::MarkerPort::open(interface, net::MarkerPort::On::Nic);
    if (!marker) { return marker.error(); }
    const int fd = ::dup(marker->fd());
    nics_.push_back(std::make_unique<Nic>(
        Nic{port, found->mac, std::move(marker).value(), boost::asio::posix::stream_descriptor(io_, fd)}));
  }
  return {};
}

void NicMarkers::await(std::uint64_t number, Duration limit, Done done) {
  waiting_ = std::make_shared<Waiting>(Waiting{number, std::move(done)});
  for (auto& nic : nics_) { nic->seen = false; }
  limit_.expires_after(limit);
  limit_.async_wait([this, mine = std::weak_ptr(waiting_)](const boost::system::error_code& error) {
    if (!error && !mine.expired()) { end_if_all_seen(true); }
  });
  // From the loop: what lies in the sockets already must not end the wait within this call.
  boost::asio::post(io_, [this, mine = std::weak_ptr(waiting_)] {
    if (mine.expired()) { return; }
    for (auto& nic : nics_) {
      if (!mine.expired()) { read(*nic); }
    }
    if (!mine.expired()) { end_if_all_seen(false); }
  });
}

void NicMarkers::listen(Nic& nic) {
  nic.readable.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this, &nic, mine = std::weak_ptr(waiting_)](const boost::system::error_code& error) {
                            if (error || mine.expired()) { return; }
                            read(nic);
                            end_if_all_seen(false);
                          });
}

void NicMarkers::read(Nic& nic) {
  for (;;) {
    const auto number = nic.marker.read(net::MarkerWay::Down);
    if (!number) {
      log::warn("{}", number.error().message);
      return;
    }
    if (!*number) { break; }
    if (**number != waiting_->number) { continue; }
    nic.seen = true;
    if (auto sent = nic.marker.send(net::MarkerWay::Up, nic.mac, waiting_->number); !sent) {
      log::warn("{}", sent.error().message);
    }
  }
  listen(nic);
}

void NicMarkers::end_if_all_seen(bool late) {
  std::vector<std::string> missing;
  for (const auto& nic : nics_) {
    if (!nic->seen) { missing.push_back(nic->port); }
  }
  if (!missing.empty() && !late) { return; }
  limit_.cancel();
  const auto done = std::move(waiting_->done);
  waiting_.reset();
  done(std::move(missing));
}

}  // namespace understudy::guest
