// SPDX-License-Identifier: Apache-2.0
/// lab-transfer: one download or upload over exactly one TCP connection, hashed; or short downloads on new connections
/// again and again, to see that new connections can be made at any time.

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
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
  std::string what, server, id, output;
  std::uint16_t port = 8080;
  double stall_limit_s = 60;
  int interval_ms = 100;
  SendPlan plan;
};

void expect_ok(const std::string& head) {
  if (!head.starts_with("HTTP/1.1 200 "))
    throw std::runtime_error("the server said: " + head.substr(0, head.find("\r\n")));
}

void download(int socket, const Options& options, Transfer& transfer) {
  std::string target = "/download?id=" + transfer.id;
  if (options.plan.amount.fixed > 0) target += "&bytes=" + std::to_string(options.plan.amount.fixed);
  target += "&rate=" + std::to_string(options.plan.bytes_per_second);
  send_all(socket, "GET " + target + " HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
  std::string rest;
  expect_ok(receive_head(socket, rest));
  receive_body(socket, rest, transfer);
}

void upload(int socket, const Options& options, Transfer& transfer) {
  send_all(socket, "PUT /upload?id=" + transfer.id +
                       " HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n");
  send_body(socket, options.plan, transfer);
  std::string told;
  expect_ok(receive_head(socket, told));
  char buffer[4096];
  for (auto got = receive(socket, buffer, sizeof buffer); !got.empty(); got = receive(socket, buffer, sizeof buffer)) {
    if ((told += got).size() > 65536) throw std::runtime_error("the server's answer is too long");
  }
  const auto answer = boost::json::parse(told);
  if (answer.at("bytes").to_number<std::uint64_t>() != transfer.bytes ||
      answer.at("sha256").as_string() != transfer.sha256)
    throw std::runtime_error("the server received other bytes than were sent");
}

Transfer run(const Options& options, const std::string& id, double connect_timeout_s) {
  Transfer transfer;
  transfer.id = id;
  transfer.direction = options.what == "upload" ? "upload" : "download";
  transfer.started_ns = now_ns();
  try {
    const auto socket =
        connect_tcp(parse_address(options.server, options.port), connect_timeout_s, options.stall_limit_s);
    transfer.connections = 1;
    transfer.local = to_text(local_address(socket.get()));
    transfer.peer = to_text(peer_address(socket.get()));
    if (options.what == "upload") {
      upload(socket.get(), options, transfer);
    } else {
      download(socket.get(), options, transfer);
    }
  } catch (const std::exception& error) { transfer.error = error.what(); }
  transfer.ended_ns = now_ns();
  return transfer;
}

std::atomic<bool> told_to_stop{false};

/// New connections until told to stop. Each may take its time (a lost SYN is sent again after a second), none may fail.
int repeat(const Options& options) {
  boost::json::array made;
  std::uint64_t failed = 0;
  std::string last_error;
  const auto is_over = [&] {
    return told_to_stop || (!options.plan.stop_file.empty() && std::filesystem::exists(options.plan.stop_file));
  };
  while (!is_over()) {
    const auto transfer = run(options, options.id + "-" + std::to_string(made.size() + failed), options.stall_limit_s);
    if (transfer.error.empty() && transfer.bytes == options.plan.amount.fixed) {
      made.push_back({transfer.started_ns, transfer.ended_ns});
    } else {
      ++failed;
      last_error = transfer.error;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(options.interval_ms));
  }
  const boost::json::value result{
      {"id", options.id}, {"made", made.size()}, {"failed", failed}, {"last_error", last_error}, {"connections", made}};
  if (!options.output.empty()) write_result(options.output, result);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"A hashed transfer through a gateway, over one TCP connection"};
  Options options;
  app.add_option("what", options.what, "download, upload, or repeat (short downloads on new connections)")
      ->required()
      ->check(CLI::IsMember({"download", "upload", "repeat"}));
  app.add_option("--server", options.server, "the server's IPv4 or IPv6 address")->required();
  app.add_option("--port", options.port)->capture_default_str();
  app.add_option("--id", options.id, "name of the transfer: a-z, 0-9, - and .")
      ->required()
      ->check([](const std::string& id) { return is_good_id(id) ? std::string() : "use a-z, 0-9, - and ."; });
  app.add_option("--output", options.output, "file for the JSON result (default: standard output)");
  app.add_option("--bytes", options.plan.amount.fixed, "a fixed size instead of an open-ended transfer");
  app.add_option("--stop-file", options.plan.stop_file, "an open-ended upload ends when this file exists");
  app.add_option("--minimum-bytes", options.plan.amount.minimum, "an open-ended upload is at least this long");
  app.add_option("--rate", options.plan.bytes_per_second, "bytes a second")->capture_default_str();
  app.add_option("--interval-ms", options.interval_ms, "pause between connections of repeat")->capture_default_str();
  app.add_option("--stall-limit-s", options.stall_limit_s, "no progress for this long is a failure")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    if (options.what == "repeat") {
      std::signal(SIGTERM, [](int) { told_to_stop = true; });
      if (options.plan.amount.fixed == 0) options.plan.amount.fixed = 1000;
      return repeat(options);
    }
    const auto transfer = run(options, options.id, options.stall_limit_s);
    if (options.output.empty()) {
      std::printf("%s\n", boost::json::serialize(transfer.to_json()).c_str());
    } else {
      write_result(options.output, transfer.to_json());
    }
    return transfer.error.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-transfer: %s\n", error.what());
    return 1;
  }
}
