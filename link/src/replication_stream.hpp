// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The one place that knows what carries the replication stream: TCP. Inside of it FrameConnection speaks TLS 1.3 when
/// it is given a tls::Session.

#include <boost/asio/ip/tcp.hpp>
#include <cstring>

#include "understudy/common/net_types.hpp"

namespace understudy::link::replication {

using Stream = boost::asio::ip::tcp::socket;

/// Small frames are acknowledgements and heartbeats: they must not wait for more.
inline void prepare_stream(Stream& stream) {
  boost::system::error_code ignored;
  stream.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
}

/// Link-local addresses need a scope and are not used for replication.
inline boost::asio::ip::tcp::endpoint endpoint_of(const IpAddress& address, std::uint16_t port) {
  if (address.is_v4()) {
    boost::asio::ip::address_v4::bytes_type bytes;
    std::memcpy(bytes.data(), address.bytes.data(), bytes.size());
    return {boost::asio::ip::address_v4(bytes), port};
  }
  boost::asio::ip::address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), address.bytes.data(), bytes.size());
  return {boost::asio::ip::address_v6(bytes), port};
}

inline IpAddress address_of(const boost::asio::ip::tcp::endpoint& endpoint) {
  IpAddress address;
  if (endpoint.address().is_v4()) {
    address.family = 4;
    const auto bytes = endpoint.address().to_v4().to_bytes();
    std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
  } else {
    address.family = 6;
    const auto bytes = endpoint.address().to_v6().to_bytes();
    std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
  }
  return address;
}

}  // namespace understudy::link::replication
