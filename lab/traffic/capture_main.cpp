// SPDX-License-Identifier: Apache-2.0
/// lab-capture: watches every bridge of its network namespace for two places that announce one address.
///
/// Looks at ARP, neighbour discovery and the probe's UDP from service MACs; owners.hpp says what is a violation. Ports
/// are told by their interface. Ends with SIGTERM and writes
///   {"violations":[...], "changes":[...], "announcements":[...], "frames":N, "held_back":N, "dropped":N}

#include <poll.h>
#include <sys/signalfd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <vector>

#include "frame.hpp"
#include "interfaces.hpp"
#include "owners.hpp"
#include "packet_socket.hpp"
#include "results.hpp"

namespace {

using namespace lab;

/// ARP: all. IPv6 with ICMPv6 133-137: all. IPv4/IPv6 UDP to or from `port`: from service MACs (02:e0, 02:e1).
std::vector<sock_filter> filter(std::uint16_t port) {
  return {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0806, 23, 0),  // 1: accept (25)
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x86dd, 0, 10),  // 2: else 13
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),              // 3: next header
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 58, 0, 3),       // 4: else 8
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 54),              // 5: ICMPv6 type
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 133, 0, 19),     // 6: else reject (26)
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 137, 18, 17),    // 7: reject (26) or accept (25)
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 17),      // 8: else reject
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 54),              // 9: source port
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 11, 0),    // 10: to the source MAC (22)
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),              // 11: destination port
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 9, 13),    // 12: source MAC (22) or reject
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 0, 12),  // 13: else reject
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),              // 14: protocol
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 10),      // 15: else reject
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),             // 16: X = length of the IPv4 head
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 14),              // 17: source port
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 3, 0),     // 18: to the source MAC (22)
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),              // 19: destination port
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 1, 0),     // 20: to the source MAC (22)
      BPF_STMT(BPF_RET | BPF_K, 0),                        // 21: reject
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),               // 22: first two bytes of the source MAC
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02e0, 1, 0),   // 23: accept
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02e1, 0, 1),   // 24: accept or reject
      BPF_STMT(BPF_RET | BPF_K, 0xffff),                   // 25: accept
      BPF_STMT(BPF_RET | BPF_K, 0),                        // 26: reject
  };
}

class Capture {
 public:
  void add(const Interfaces& interfaces, const Captured& captured) {
    const Interface* interface = interfaces.find(captured.interface);
    if (interface == nullptr || interface->bridge.empty()) return;
    ++frames_;
    const auto hash = hash_of(captured.bytes);
    if (captured.outgoing) return watch_.left(captured.time_ns, interface->bridge, interface->name, hash);
    const Frame frame = read_frame(captured.bytes);
    watch_.arrived(captured.time_ns, interface->bridge, interface->name, hash, frame);
    if (!frame.is_announcement || announcements_.size() >= OwnerWatch::most_recorded) return;
    announcements_.push_back({{"time_ns", captured.time_ns},
                              {"segment", interface->bridge},
                              {"port", interface->name},
                              {"mac", frame.source_mac},
                              {"address", frame.claims.empty() ? std::string() : frame.claims.back()}});
  }

  [[nodiscard]] boost::json::value to_json(std::uint64_t dropped) const {
    boost::json::array violations, changes;
    for (const auto& one : watch_.violations())
      violations.push_back({{"time_ns", one.time_ns},
                            {"segment", one.segment},
                            {"address", one.address},
                            {"port", one.port},
                            {"owner", one.owner},
                            {"frame", one.frame}});
    for (const auto& one : watch_.changes())
      changes.push_back({{"time_ns", one.time_ns},
                         {"segment", one.segment},
                         {"address", one.address},
                         {"port", one.port},
                         {"before", one.before}});
    return {{"violations", violations},        {"changes", changes}, {"frames", frames_},
            {"held_back", watch_.held_back()}, {"dropped", dropped}, {"announcements", announcements_}};
  }

 private:
  OwnerWatch watch_;
  boost::json::array announcements_;
  std::uint64_t frames_ = 0;
};

Descriptor stop_signals() {
  sigset_t signals{};
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return Descriptor(checked(signalfd(-1, &signals, SFD_CLOEXEC), "signalfd"));
}

void run(std::uint16_t port, const std::string& output) {
  const Descriptor stop = stop_signals();
  Interfaces interfaces;
  auto program = filter(port);
  PacketSocket packets(program);
  Capture capture;
  std::puts("capturing");
  std::fflush(stdout);
  for (bool stopping = false; !stopping;) {
    pollfd ready[] = {{stop.get(), POLLIN, 0}, {interfaces.descriptor(), POLLIN, 0}, {packets.get(), POLLIN, 0}};
    checked(poll(ready, 3, -1), "poll");
    stopping = ready[0].revents != 0;
    if (ready[1].revents != 0) interfaces.read_changes();
    packets.read([&](const Captured& captured) { capture.add(interfaces, captured); }, stopping ? 1'000'000 : 1000);
  }
  write_result(output, capture.to_json(packets.dropped()));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Watch the bridges of this network namespace for two places that announce one address"};
  std::string output;
  std::uint16_t port = 7007;
  app.add_option("--output", output, "file for the JSON result, written at the end")->required();
  app.add_option("--probe-port", port, "UDP port of the probe")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(port, output);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-capture: %s\n", error.what());
    return 1;
  }
}
