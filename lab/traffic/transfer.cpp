// SPDX-License-Identifier: Apache-2.0
#include "transfer.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

#include "chunked.hpp"
#include "clocks.hpp"
#include "sha256.hpp"
#include "sockets.hpp"

namespace lab {

boost::json::value Transfer::to_json() const {
  boost::json::object object{{"id", id},
                             {"direction", direction},
                             {"local", local},
                             {"peer", peer},
                             {"bytes", bytes},
                             {"sha256", sha256},
                             {"connections", connections},
                             {"started_ns", started_ns},
                             {"ended_ns", ended_ns},
                             {"longest_stall_ms", static_cast<double>(longest_stall_ns) * 1e-6}};
  if (error.empty()) {
    object["error"] = nullptr;
  } else {
    object["error"] = error;
  }
  return object;
}

void send_body(int socket, const SendPlan& plan, Transfer& transfer) {
  constexpr auto turn = std::chrono::milliseconds(10);
  ByteStream stream(transfer.id);
  Pacer pacer(plan.bytes_per_second, now_ns(CLOCK_MONOTONIC));
  Sha256 hash;
  std::vector<char> bytes(Pacer::burst_bytes);
  std::string message;
  while (!plan.amount.is_done(transfer.bytes, !plan.stop_file.empty() && std::filesystem::exists(plan.stop_file))) {
    const std::size_t due = plan.amount.within(pacer.take(now_ns(CLOCK_MONOTONIC)), transfer.bytes);
    if (due == 0) {
      std::this_thread::sleep_for(turn);
      continue;
    }
    stream.fill({bytes.data(), due});
    hash.add({bytes.data(), due});
    message = chunk_header(due);
    message.append(bytes.data(), due).append("\r\n");
    const std::int64_t before = now_ns(CLOCK_MONOTONIC);
    send_all(socket, message);
    transfer.longest_stall_ns = std::max(transfer.longest_stall_ns, now_ns(CLOCK_MONOTONIC) - before);
    transfer.bytes += due;
    std::this_thread::sleep_for(turn);
  }
  send_all(socket, last_chunk);
  transfer.sha256 = hash.finish();
}

void receive_body(int socket, std::string_view already, Transfer& transfer) {
  ChunkDecoder decoder;
  Sha256 hash;
  std::vector<char> buffer(std::size_t{1} << 16);
  std::int64_t last = now_ns(CLOCK_MONOTONIC);
  const auto sink = [&](std::string_view part) {
    hash.add(part);
    transfer.bytes += part.size();
  };
  bool good = decoder.feed(already, sink);
  while (good && !decoder.is_complete()) {
    const auto got = receive(socket, buffer.data(), buffer.size());
    if (got.empty()) throw std::runtime_error("the connection ended inside the body");
    const std::int64_t now = now_ns(CLOCK_MONOTONIC);
    transfer.longest_stall_ns = std::max(transfer.longest_stall_ns, now - last);
    last = now;
    good = decoder.feed(got, sink);
  }
  if (!good) throw std::runtime_error("the body is not chunked as it should be");
  transfer.sha256 = hash.finish();
}

std::string receive_head(int socket, std::string& rest) {
  constexpr std::size_t most = 8192;
  std::string head;
  char buffer[4096];
  while (true) {
    if (const auto end = head.find("\r\n\r\n"); end != std::string::npos) {
      rest = head.substr(end + 4);
      head.resize(end + 4);
      return head;
    }
    if (head.size() > most) throw std::runtime_error("the head is longer than 8192 bytes");
    const auto got = receive(socket, buffer, sizeof buffer);
    if (got.empty()) throw std::runtime_error("the connection ended inside the head");
    head += got;
  }
}

}  // namespace lab
