// SPDX-License-Identifier: Apache-2.0
/// lab-http-server: sends and receives hashed transfers, each on the one connection that it came on.
///
/// One thread a connection: a dozen long transfers and short ones beside them. Every finished or broken transfer of a
/// name leaves DIRECTORY/server-NAME.json. Results of fixed size are not kept when --quiet-fixed is given: they are
/// many and their client tells.

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include "clocks.hpp"
#include "http_request.hpp"
#include "results.hpp"
#include "sockets.hpp"
#include "transfer.hpp"

namespace {

using namespace lab;

struct Options {
  std::uint16_t port = 8080;
  std::string results;
  double stall_limit_s = 60;
  bool quiet_fixed = false;
  SendPlan plan;
};

constexpr int most_connections = 512;
std::atomic<int> connections{0};

void answer_upload(int socket, const std::string& rest, Transfer& transfer) {
  receive_body(socket, rest, transfer);
  const std::string told = boost::json::serialize(transfer.to_json());
  send_all(socket, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(told.size()) + "\r\n\r\n" + told);
}

void answer_download(int socket, const HttpRequest& request, const Options& options, Transfer& transfer) {
  SendPlan plan = options.plan;
  plan.amount.fixed = request.bytes;
  if (request.rate > 0) plan.bytes_per_second = request.rate;
  send_all(socket,
           "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n"
           "Transfer-Encoding: chunked\r\n\r\n");
  send_body(socket, plan, transfer);
}

void serve(Descriptor socket, const Options& options) {
  Transfer transfer;
  bool worth_keeping = false;
  try {
    set_timeouts(socket.get(), options.stall_limit_s);
    transfer.local = to_text(local_address(socket.get()));
    transfer.peer = to_text(peer_address(socket.get()));
    transfer.connections = 1;
    transfer.started_ns = now_ns();
    std::string rest;
    const auto request = parse_request(receive_head(socket.get(), rest));
    if (!request) {
      send_all(socket.get(), "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    transfer.id = request->id;
    transfer.direction = request->is_upload ? "upload" : "download";
    worth_keeping = !options.results.empty() && !(options.quiet_fixed && request->bytes > 0);
    if (request->is_upload) {
      answer_upload(socket.get(), rest, transfer);
    } else {
      answer_download(socket.get(), *request, options, transfer);
    }
    // The client closes first: a close with unread bytes would send a reset of our own making.
    shutdown(socket.get(), SHUT_WR);
    char byte;
    while (!receive(socket.get(), &byte, 1).empty()) {}
  } catch (const std::exception& error) { transfer.error = error.what(); }
  transfer.ended_ns = now_ns();
  if (!worth_keeping) return;
  try {
    write_result(options.results + "/server-" + transfer.id + ".json", transfer.to_json());
  } catch (const std::exception& error) { std::fprintf(stderr, "lab-http-server: %s\n", error.what()); }
}

[[noreturn]] void accept_for_ever(const Options& options) {
  const Descriptor listener = listen_tcp(options.port);
  std::printf("listening on %s\n", to_text(local_address(listener.get())).c_str());
  std::fflush(stdout);
  while (true) {
    Descriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.is_open()) continue;
    if (connections.load() >= most_connections) continue;
    ++connections;
    std::thread([options, held = std::move(socket)]() mutable {
      serve(std::move(held), options);
      --connections;
    }).detach();
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"HTTP server of the lab: paced, hashed downloads and hashed uploads"};
  Options options;
  app.add_option("--port", options.port, "TCP port, all addresses")->capture_default_str();
  app.add_option("--results", options.results, "directory for server-NAME.json of each transfer");
  app.add_option("--stop-file", options.plan.stop_file, "open-ended downloads end when this file exists");
  app.add_option("--minimum-bytes", options.plan.amount.minimum, "an open-ended download is at least this long");
  app.add_option("--rate", options.plan.bytes_per_second, "bytes a second of a download")->capture_default_str();
  app.add_option("--stall-limit-s", options.stall_limit_s, "a transfer without progress for this long is broken");
  app.add_flag("--quiet-fixed", options.quiet_fixed, "keep no result of downloads of a fixed size");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    accept_for_ever(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-http-server: %s\n", error.what());
    return 1;
  }
}
