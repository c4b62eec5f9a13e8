// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>
#include <vector>

#include "loopback.hpp"
#include "stopwatch.hpp"

namespace understudy::bench {

namespace asio = boost::asio;
using asio::ip::tcp;

double thread_cpu() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Carried carry_raw(std::size_t bytes) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  tcp::socket from(io);
  from.connect(acceptor.local_endpoint());
  tcp::socket to = acceptor.accept();
  for (auto* socket : {&from, &to}) { socket->set_option(tcp::no_delay(true)); }

  double sender_cpu = 0;
  const double receiver_began = thread_cpu();
  const Stopwatch watch;
  std::thread sender([&] {
    const std::vector<std::byte> chunk(block_bytes, std::byte{0x55});
    for (std::size_t sent = 0; sent < bytes;) {
      sent += from.write_some(asio::buffer(chunk.data(), std::min(chunk.size(), bytes - sent)));
    }
    sender_cpu = thread_cpu();
  });
  std::vector<std::byte> room(256 << 10);
  std::size_t received = 0;
  while (received < bytes) { received += to.read_some(asio::buffer(room)); }
  // As replication's acknowledgement: the sender knows when all has arrived.
  asio::write(to, asio::buffer(room.data(), 1));
  sender.join();
  asio::read(from, asio::buffer(room.data(), 1));
  return {watch.seconds(), received, sender_cpu, thread_cpu() - receiver_began};
}

}  // namespace understudy::bench
