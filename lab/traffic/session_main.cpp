// SPDX-License-Identifier: Apache-2.0
/// lab-session-client: makes sessions and counts them up without a pause, and at the end looks whether everything that
/// was acknowledged is there. Its own ledger judges, not the service.
///
/// One request at a time. Each round: now and then a new session (every eighth with 0 to 4096 bytes), else one more
/// count in a session chosen at random. SIGTERM or the stop file begins the last look.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "clocks.hpp"
#include "results.hpp"
#include "session_connection.hpp"
#include "session_ledger.hpp"

namespace {

using namespace lab;

volatile std::sig_atomic_t told_to_stop = 0;

struct Options {
  std::string server, transport = "udp", stop_file, output;
  std::uint16_t port = 7500;
  int new_every_ms = 100, round_ms = 5;
  std::size_t most_sessions = 1000;
  double limit_s = 60;
};

class Client {
 public:
  explicit Client(const Options& options)
      : options_(options), connection_(parse_address(options.server, options.port), options.transport == "tcp") {
    char text[17];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(random_() | 1));
    id_ = text;
  }

  void work_until_told() {
    std::int64_t next_session_ns = 0;
    while (told_to_stop == 0 && (options_.stop_file.empty() || !std::filesystem::exists(options_.stop_file))) {
      const std::int64_t now = now_ns(CLOCK_MONOTONIC);
      if (now >= next_session_ns && names_.size() < options_.most_sessions) {
        next_session_ns = now + std::int64_t{options_.new_every_ms} * 1'000'000;
        make_session();
      } else if (!names_.empty()) {
        count(names_[random_() % names_.size()]);
      }
      usleep(static_cast<useconds_t>(options_.round_ms) * 1000);
    }
  }

  void look_at_all() {
    for (const auto& [session, record] : ledger_.sessions()) {
      const auto read = ask("READ " + session);
      const auto fetch = ask("FETCH " + session);
      if (!read.is_ok || !fetch.is_ok || read.words.empty()) {
        ledger_.missing(session);
        if (ledger_.lost() != 0) last_error_ = read.is_ok ? "FETCH: " + fetch.words[0] : "READ: " + read.words[0];
        continue;
      }
      ledger_.found(session, std::stoull(read.words[0]), fetch.words.empty() ? "-" : fetch.words[0]);
    }
  }

  void failed(const std::string& error) { last_error_ = error; }

  [[nodiscard]] bool is_good() const {
    return last_error_.empty() && ledger_.lost() == 0 && ledger_.went_back() == 0 && ledger_.counted_twice() == 0 &&
           ledger_.kept() + ledger_.undone().size() >= ledger_.sessions().size();
  }

  [[nodiscard]] boost::json::value to_json() const {
    boost::json::array made;
    for (const auto& [session, record] : ledger_.sessions()) made.push_back(record.made_ns);
    boost::json::array undone;
    for (const auto& [session, told_ns] : ledger_.undone()) undone.push_back(told_ns);
    return {{"transport", options_.transport},
            {"kept", ledger_.kept()},
            {"lost", ledger_.lost()},
            {"went_back", ledger_.went_back()},
            {"undone_ns", undone},
            {"counted_twice", ledger_.counted_twice()},
            {"reconnects", connection_.reconnects()},
            {"retries", connection_.retries()},
            {"counts", ledger_.counts()},
            {"longest_wait_ms", static_cast<double>(connection_.longest_wait_ns()) * 1e-6},
            {"made_ns", made},
            {"error", last_error_}};
  }

 private:
  SessionReply ask(const std::string& request) {
    const auto number = ++number_;
    return connection_.ask(id_, number, id_ + " " + std::to_string(number) + " " + request + "\n", options_.limit_s);
  }

  static Told told(const SessionReply& reply) { return {now_ns(), reply.is_mirrored}; }

  /// A session that is missing is not counted up any more.
  void forget(std::string session) {
    ledger_.missing(session);
    std::erase(names_, session);
  }

  void make_session() {
    const auto reply = ask("LOGIN user-" + std::to_string(names_.size()));
    if (!reply.is_ok || reply.words.empty()) throw std::runtime_error("LOGIN: " + reply.words.at(0));
    const auto session = reply.words[0];
    ledger_.made(session, told(reply));
    names_.push_back(session);
    if (names_.size() % 8 != 0) return;
    const auto blob = random_hex(random_() % 4097);
    const auto stored = ask("STORE " + session + " " + blob);
    if (!stored.is_ok && stored.words.at(0) == "no-session") return forget(session);
    if (!stored.is_ok) throw std::runtime_error("STORE: " + stored.words.at(0));
    ledger_.stored(session, blob, told(stored));
  }

  void count(const std::string& session) {
    const auto reply = ask("COUNT " + session);
    if (reply.is_ok && !reply.words.empty()) return ledger_.counted(session, std::stoull(reply.words[0]), told(reply));
    forget(session);
    if (ledger_.lost() == 0) return;
    last_error_ = "COUNT: " + (reply.words.empty() ? std::string("no result") : reply.words[0]);
  }

  std::string random_hex(std::size_t bytes) {
    if (bytes == 0) return "-";
    std::string text;
    for (std::size_t at = 0; at < 2 * bytes; ++at) text += "0123456789abcdef"[random_() & 15];
    return text;
  }

  Options options_;
  std::mt19937_64 random_{std::random_device{}()};
  SessionConnection connection_;
  SessionLedger ledger_;
  std::string id_, last_error_;
  std::vector<std::string> names_;
  std::uint64_t number_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Client of the session service that remembers what it was told"};
  Options options;
  app.add_option("--server", options.server, "address of the role in the client's network")->required();
  app.add_option("--port", options.port)->capture_default_str();
  app.add_option("--transport", options.transport)->capture_default_str()->check(CLI::IsMember({"udp", "tcp"}));
  app.add_option("--new-every-ms", options.new_every_ms, "pause between new sessions")->capture_default_str();
  app.add_option("--round-ms", options.round_ms, "pause between requests")->capture_default_str();
  app.add_option("--sessions", options.most_sessions, "no more sessions than these")->capture_default_str();
  app.add_option("--limit-s", options.limit_s, "how long a request may stay without a reply")->capture_default_str();
  app.add_option("--stop-file", options.stop_file, "the last look begins when this file exists");
  app.add_option("--output", options.output, "file for the JSON result")->required();
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { told_to_stop = 1; });
  try {
    Client client(options);
    try {
      client.work_until_told();
      client.look_at_all();
    } catch (const std::exception& error) { client.failed(error.what()); }
    write_result(options.output, client.to_json());
    return client.is_good() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lab-session-client: %s\n", error.what());
    return 1;
  }
}
