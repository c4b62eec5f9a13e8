// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The markers of a movement at the mirror's service NICs (net/marker.hpp): waited for, each sent back as it comes.
///
///   open() ──► await(number) ──► every NIC has shown it, or the limit: whose did not come
///
/// Open early: a marker may come before the order that tells its number, and waits in its socket then. A crash leaves
/// nothing.

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "understudy/link/messages.hpp"
#include "understudy/net/marker.hpp"

namespace understudy::guest {

class NicMarkers {
 public:
  /// Names of the ports whose marker did not come.
  using Done = std::function<void(std::vector<std::string>)>;

  explicit NicMarkers(boost::asio::io_context& io) : io_(io), limit_(io) {}
  /// `interfaces`: logical port -> interface, as the place has them.
  Status open(const link::RoleSpec& spec, const std::vector<std::pair<std::string, std::string>>& interfaces);
  void await(std::uint64_t number, Duration limit, Done done);
  /// done is not called any more.
  void give_up() { waiting_.reset(); }

 private:
  struct Nic {
    std::string port;
    MacAddress mac;
    net::MarkerPort marker;
    boost::asio::posix::stream_descriptor readable;
    bool seen = false;
  };
  struct Waiting {
    std::uint64_t number;
    Done done;
  };
  void listen(Nic& nic);
  void read(Nic& nic);
  void end_if_all_seen(bool late);

  boost::asio::io_context& io_;
  boost::asio::steady_timer limit_;
  std::vector<std::unique_ptr<Nic>> nics_;
  std::shared_ptr<Waiting> waiting_;  ///< handlers hold it weakly
};

}  // namespace understudy::guest
