// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One end of a replication stream in a test's hand.

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <vector>

#include "replication_bench.hpp"
#include "understudy/link/replication_frame.hpp"

namespace understudy::link::replication {

/// Of a Journal frame.
inline Sequence last_in(const FrameHeader& header, const std::vector<std::byte>& payload) {
  return Sequence{header.first.value + shm::whole_entries(payload, payload.size()).count - 1};
}

/// The other end in the test's hand: frames one by one, bytes as they are.
class Puppet {
 public:
  explicit Puppet(std::uint64_t term) : term_(term) {}
  void listen() {
    acceptor_.open(boost::asio::ip::tcp::v4());
    acceptor_.bind(boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), 0));
    acceptor_.listen();
    acceptor_.async_accept(socket_, [this](const boost::system::error_code& error) { connected_ = !error; });
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void connect(std::uint16_t port) {
    socket_.connect(boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), port));
    connected_ = true;
  }
  bool wait_connected() {
    io_.run_for(10s);
    return connected_;
  }
  void send(const std::vector<std::byte>& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }
  void send(FrameType type, std::vector<std::byte> payload, Sequence first = {}) {
    send(bytes_of_frame(type, std::move(payload), first));
  }
  [[nodiscard]] std::vector<std::byte> bytes_of_frame(FrameType type, std::vector<std::byte> payload,
                                                      Sequence first = {}) const {
    auto frame = encode({type, 0, Term{term_}, digest_of(role), first}, std::move(payload));
    frame.header.insert(frame.header.end(), frame.payload.begin(), frame.payload.end());
    return frame.header;
  }
  void say_hello(const TestRegion& region, Sequence committed = {}) {
    Hello hello{role, {}};
    for (const auto* name : {"net", "sessions"}) {
      const auto& schema = region.store(name).schema();
      hello.stores.push_back({name, digest_of(schema), committed, false, {}, schema.journal_bytes});
    }
    send(FrameType::Hello, encode_payload(hello));
  }
  /// Reads what is there; true once so many frames of `type` have come.
  bool got(FrameType type, std::ptrdiff_t times = 1) {
    while (socket_.available() > 0) {
      const auto room = decoder_.prepare();
      decoder_.commit(socket_.read_some(boost::asio::buffer(room.data(), room.size())));
      for (;;) {
        const auto frame = decoder_.next();
        if (!frame || !frame.value()) { break; }
        seen_.push_back(frame.value()->header.type);
        const auto payload = frame.value()->payload;
        if (frame.value()->header.type == FrameType::History || frame.value()->header.type == FrameType::Journal) {
          frames.emplace_back(frame.value()->header, std::vector<std::byte>(payload.begin(), payload.end()));
        }
      }
    }
    return std::count(seen_.begin(), seen_.end(), type) >= times;
  }
  /// Of History and Journal, in the order in which got() read them.
  std::vector<std::pair<FrameHeader, std::vector<std::byte>>> frames;
  /// The last change of that store that has come.
  [[nodiscard]] Sequence last_of(std::uint16_t store) const {
    Sequence last;
    for (const auto& [header, payload] : frames) {
      if (header.type == FrameType::Journal && header.store == store) { last = last_in(header, payload); }
    }
    return last;
  }

 private:
  const std::uint64_t term_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_{io_};
  boost::asio::ip::tcp::socket socket_{io_};
  bool connected_ = false;
  FrameDecoder decoder_;
  std::vector<FrameType> seen_;
};

}  // namespace understudy::link::replication
