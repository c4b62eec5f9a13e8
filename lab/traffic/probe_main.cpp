// SPDX-License-Identifier: Apache-2.0
/// lab-probe: a datagram each millisecond to the echo server; every reply's arrival is written down, so that whoever
/// knows when something happened can look for the largest gap around it.
///
/// One thread sends at absolute times (a late turn does not shift the following ones), one receives with the kernel's
/// arrival times. A reply counts once. SIGTERM ends it: the last replies are waited for, then the summary is written.

#include <poll.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "clocks.hpp"
#include "probe_packet.hpp"
#include "results.hpp"
#include "sockets.hpp"

namespace {

using namespace lab;

std::atomic<bool> told_to_stop{false};

struct Options {
  std::string target, replies, summary;
  std::uint16_t port = 7007;
  std::int64_t interval_us = 1000;
};

struct Counts {
  std::atomic<std::uint64_t> sent{0}, received{0}, send_errors{0};
  std::atomic<bool> sender_done{false};
};

void send_on_time(int socket, std::uint32_t probe, std::int64_t interval_us, Counts& counts) {
  timespec next{};
  clock_gettime(CLOCK_MONOTONIC, &next);
  while (!told_to_stop) {
    // Counted before it is sent: its reply may be here before send() returns.
    const ProbePacket packet{ProbePacket{}.magic, probe, counts.sent.fetch_add(1), now_ns()};
    if (send(socket, &packet, sizeof packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) ++counts.send_errors;
    next.tv_nsec += interval_us * 1000;
    while (next.tv_nsec >= 1'000'000'000) {
      next.tv_nsec -= 1'000'000'000;
      ++next.tv_sec;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
  counts.sender_done = true;
}

/// The kernel's arrival time, or now when it gave none.
std::int64_t arrival(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time{};
    std::memcpy(&time, CMSG_DATA(part), sizeof time);
    return nanoseconds(time);
  }
  return now_ns();
}

/// True when a reply was read and counted.
bool receive_one(int socket, std::uint32_t probe, Counts& counts, std::vector<bool>& seen, std::FILE* file) {
  char bytes[256];
  alignas(cmsghdr) char control[256];
  iovec part{bytes, sizeof bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT);
  if (got < 0) return false;  // nothing yet, or an ICMP error while the role changes places
  const auto packet = read_probe({bytes, static_cast<std::size_t>(got)}, probe, counts.sent.load());
  if (!packet) return true;
  if (seen.size() <= packet->sequence) seen.resize(packet->sequence + 60'000);
  if (seen[packet->sequence]) return true;
  seen[packet->sequence] = true;
  ++counts.received;
  const ProbeReply reply{packet->sequence, packet->sent_ns, arrival(message)};
  std::fwrite(&reply, sizeof reply, 1, file);
  return true;
}

void receive_until_done(int socket, std::uint32_t probe, Counts& counts, std::FILE* file) {
  std::vector<bool> seen;
  std::int64_t last_flush_ns = 0, quiet_since_ns = 0;
  while (true) {
    pollfd ready{socket, POLLIN, 0};
    poll(&ready, 1, 50);
    while (receive_one(socket, probe, counts, seen, file)) {}
    const std::int64_t now = now_ns(CLOCK_MONOTONIC);
    if (now - last_flush_ns > 100'000'000) {
      std::fflush(file);
      last_flush_ns = now;
    }
    if (!counts.sender_done) continue;
    if (quiet_since_ns == 0) quiet_since_ns = now;
    if (now - quiet_since_ns > 300'000'000) return;
  }
}

int run(const Options& options) {
  const Address target = parse_address(options.target, options.port);
  const Descriptor socket(checked(::socket(target.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  checked(connect(socket.get(), target.get(), target.length), "connect to " + to_text(target));
  hold_seconds(socket.get());
  const int one = 1;
  checked(setsockopt(socket.get(), SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one), "SO_TIMESTAMPNS");
  std::FILE* file = std::fopen(options.replies.c_str(), "wb");
  if (file == nullptr) checked(-1, "open " + options.replies);
  const auto probe = static_cast<std::uint32_t>(std::random_device{}());
  Counts counts;
  const std::int64_t started_ns = now_ns();
  std::thread receiver([&] { receive_until_done(socket.get(), probe, counts, file); });
  send_on_time(socket.get(), probe, options.interval_us, counts);
  receiver.join();
  if (std::fclose(file) != 0) checked(-1, "write " + options.replies);
  const boost::json::value summary{{"sent", counts.sent.load()},
                                   {"received", counts.received.load()},
                                   {"send_errors", counts.send_errors.load()},
                                   {"started_ns", started_ns},
                                   {"ended_ns", now_ns()},
                                   {"local", to_text(local_address(socket.get()))}};
  write_result(options.summary, summary);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"UDP probe through a role: one datagram each millisecond, every reply written down"};
  Options options;
  app.add_option("--target", options.target, "the echo server's address")->required();
  app.add_option("--port", options.port)->capture_default_str();
  app.add_option("--interval-us", options.interval_us)->capture_default_str()->check(CLI::Range(100, 1'000'000));
  app.add_option("--replies", options.replies, "file of replies: sequence, sent, received, 8 bytes each")->required();
  app.add_option("--summary", options.summary, "file for the JSON summary, written at the end")->required();
  CLI11_PARSE(app, argc, argv);
  for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { told_to_stop = true; });
  try {
    prefer_real_time();
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-probe: %s\n", error.what());
    return 1;
  }
}
