// SPDX-License-Identifier: Apache-2.0
/// lab-tcp-flags: counts SYN and RST packets by connection, as they pass the interfaces of a client or server. Ends
/// with SIGTERM and writes {"connections":[{"local","peer","syns","resets_out","resets_in"}], "dropped":N}.

#include <poll.h>
#include <sys/signalfd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <vector>

#include "packet_socket.hpp"
#include "results.hpp"
#include "tcp_flags.hpp"

namespace {

using namespace lab;

/// TCP with SYN or RST. IPv6 without extension headers, which TCP here never has.
std::vector<sock_filter> filter() {
  return {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x86dd, 0, 4),              // 1: else to 6
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),                         // 2
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 10),        // 3: else reject (14)
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 54 + 13),                    // 4
      BPF_JUMP(BPF_JMP | BPF_JA, 6, 0, 0),                            // 5: to 12
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 0, 7),              // 6: else reject
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),                         // 7
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 5),         // 8: else reject
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),                        // 9
      BPF_STMT(BPF_LD | BPF_B | BPF_IND, 14 + 13),                    // 10
      BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0),                            // 11: to 12
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, tcp_syn | tcp_rst, 0, 1),  // 12
      BPF_STMT(BPF_RET | BPF_K, 0xffff),                              // 13: accept
      BPF_STMT(BPF_RET | BPF_K, 0),                                   // 14: reject
  };
}

void run(const std::string& output) {
  sigset_t signals{};
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const Descriptor stop(checked(signalfd(-1, &signals, SFD_CLOEXEC), "signalfd"));
  auto program = filter();
  PacketSocket packets(program);
  TcpFlags flags;
  std::puts("capturing");
  std::fflush(stdout);
  for (bool stopping = false; !stopping;) {
    pollfd ready[] = {{stop.get(), POLLIN, 0}, {packets.get(), POLLIN, 0}};
    checked(poll(ready, 2, -1), "poll");
    stopping = ready[0].revents != 0;
    packets.read([&](const Captured& captured) { flags.add(read_frame(captured.bytes), captured.outgoing); },
                 stopping ? 1'000'000 : 1000);
  }
  write_result(output, {{"connections", flags.to_json()}, {"dropped", packets.dropped()}});
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Count SYN and RST packets by connection in this network namespace"};
  std::string output;
  app.add_option("--output", output, "file for the JSON result, written at the end")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    run(output);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-tcp-flags: %s\n", error.what());
    return 1;
  }
}
