// SPDX-License-Identifier: Apache-2.0
#include "edge/tap_markers.hpp"

#include <unistd.h>

#include <boost/asio/post.hpp>

#include "understudy/common/log.hpp"

namespace understudy::host {

namespace {
constexpr auto again_after = std::chrono::milliseconds(5);

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) { text += (text.empty() ? "" : ", ") + name; }
  return text;
}
}  // namespace

void TapMarkers::send(const std::vector<MarkedTap>& taps, std::uint64_t number, Duration limit,
                      std::function<void(Status)> done) {
  taps_.clear();
  waiting_ = std::make_shared<Waiting>(Waiting{number, {}, std::move(done)});
  for (const auto& tap : taps) { open(tap); }
  limit_.expires_after(limit);
  limit_.async_wait([this, mine = std::weak_ptr(waiting_)](const boost::system::error_code& error) {
    if (!error && !mine.expired()) { end_if_all_back(true); }
  });
  send_all();
  for (auto& tap : taps_) { listen(*tap); }
  boost::asio::post(io_, [this, mine = std::weak_ptr(waiting_)] {
    if (!mine.expired()) { end_if_all_back(false); }
  });
}

void TapMarkers::open(const MarkedTap& tap) {
  auto marker = net::MarkerPort::open(tap.tap, net::MarkerPort::On::BridgePort);
  if (!marker) {
    log::warn("{}", log::describe(marker.error()));
    waiting_->unheard.push_back(tap.port);
    return;
  }
  const int fd = ::dup(marker->fd());
  taps_.push_back(
      std::make_unique<Tap>(Tap{tap, std::move(marker).value(), boost::asio::posix::stream_descriptor(io_, fd)}));
}

void TapMarkers::send_all() {
  for (auto& tap : taps_) {
    if (tap->back) { continue; }
    if (auto sent = tap->marker.send(net::MarkerWay::Down, tap->of.mac, waiting_->number); !sent) {
      log::debug("{}", sent.error().message);  // a full queue: the next one
    }
  }
  again_.expires_after(again_after);
  again_.async_wait([this, mine = std::weak_ptr(waiting_)](const boost::system::error_code& error) {
    if (!error && !mine.expired()) { send_all(); }
  });
}

void TapMarkers::listen(Tap& tap) {
  tap.readable.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this, &tap, mine = std::weak_ptr(waiting_)](const boost::system::error_code& error) {
                            if (error || mine.expired()) { return; }
                            read(tap);
                            end_if_all_back(false);
                          });
}

void TapMarkers::read(Tap& tap) {
  for (;;) {
    const auto number = tap.marker.read(net::MarkerWay::Up);
    if (!number) {
      log::warn("{}", log::describe(number.error()));
      return;
    }
    if (!*number) { break; }
    tap.back = tap.back || **number == waiting_->number;
  }
  if (!tap.back) { listen(tap); }
}

void TapMarkers::end_if_all_back(bool late) {
  auto missing = waiting_->unheard;
  bool waits = false;
  for (const auto& tap : taps_) {
    if (tap->back) { continue; }
    missing.push_back(tap->of.port);
    waits = true;
  }
  if (waits && !late) { return; }
  limit_.cancel();
  again_.cancel();
  const auto done = std::move(waiting_->done);
  waiting_.reset();
  done(missing.empty() ? Status{} : failure("no marker came back from " + joined(missing), Errc::Expired));
}

}  // namespace understudy::host
