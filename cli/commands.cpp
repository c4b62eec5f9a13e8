// SPDX-License-Identifier: Apache-2.0
#include "commands.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <deque>
#include <thread>

#include "render.hpp"
#include "understudy/link/control_api_operator.hpp"

namespace understudy::cli {
namespace {

using link::OperatorClient;

constexpr std::size_t kWatched = 10;  ///< events below a live table

int complain(const Error& error) {
  std::fprintf(stderr, "understudy: %s\n", error.message.c_str());
  return 1;
}

std::int64_t wall_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

int say(const Result<std::string>& answer) {
  if (!answer) { return complain(answer.error()); }
  std::printf("%s\n", answer.value().c_str());
  return 0;
}

/// ctrl-c and SIGTERM as something to wait for: blocked in every thread, taken by sigtimedwait.
sigset_t block_stop_signals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  return stop;
}

}  // namespace

int show_status(const Control& control, bool json) {
  const auto status = OperatorClient(control.address, control.wire).status();
  if (!status) { return complain(status.error()); }
  const auto text = json ? status_json(status.value()) + "\n" : status_text(status.value(), wall_now_ns());
  std::fputs(text.c_str(), stdout);
  return status_exit(status.value());
}

int show_events(const Control& control, const EventsWanted& wanted, bool json) {
  const auto stop = block_stop_signals();
  OperatorClient client(control.address, control.wire);
  EventLines lines;
  const auto print = [json, &lines](const link::EventRecord& event) {
    const auto line = (json ? event_json(event) : lines.text(event)) + "\n";
    return std::fputs(line.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  };
  std::atomic<bool> stopped = false;
  Status done;
  std::jthread waiter([&](const std::stop_token& finished) {
    const timespec moment{0, 50'000'000};
    while (!finished.stop_requested()) {
      if (sigtimedwait(&stop, nullptr, &moment) < 0) { continue; }
      stopped = true;
      client.stop();
      return;
    }
  });
  // What is there comes first, and is cut to the last ones here too: a filter's matches are counted, and an older
  // control-server sends all.
  std::uint64_t seen = wanted.since;
  std::deque<link::EventRecord> there;
  done = client.watch_events(
      seen, false,
      [&](const link::EventRecord& event) {
        seen = event.id;
        if (!wanted.filter.takes(event)) { return true; }
        if (wanted.last == 0) { return print(event); }
        there.push_back(event);
        if (there.size() > wanted.last) { there.pop_front(); }
        return true;
      },
      wanted.filter.takes_all() ? wanted.last : 0);
  bool printing = done.ok();
  for (const auto& event : there) { printing = printing && print(event); }
  if (printing && wanted.follow && !stopped) {
    done = client.watch_events(
        seen, true, [&](const link::EventRecord& event) { return !wanted.filter.takes(event) || print(event); });
  }
  waiter.request_stop();
  waiter.join();
  if (!done && !stopped) { return complain(done.error()); }
  return 0;
}

int watch(const Control& control) {
  const auto stop = block_stop_signals();
  OperatorClient client(control.address, control.wire, std::chrono::milliseconds(1000));
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  std::uint64_t last = 0;
  EventLines lines;
  std::deque<std::string> recent;
  while (true) {
    const auto status = client.status();
    std::string screen = terminal ? "\x1b[H\x1b[2J" : "";
    if (status) {
      (void)client.watch_events(
          last, false,
          [&](const link::EventRecord& event) {
            last = event.id;
            recent.push_back(lines.text(event));
            if (recent.size() > kWatched) { recent.pop_front(); }
            return true;
          },
          last == 0 ? kWatched : 0);
      screen += status_text(status.value(), wall_now_ns()) + "\n";
      for (const auto& line : recent) { screen += line + "\n"; }
    } else {
      screen += status.error().message + "\n";
    }
    if (std::fputs(screen.c_str(), stdout) < 0 || std::fflush(stdout) != 0) { return 0; }
    const timespec pause{0, 500'000'000};
    if (sigtimedwait(&stop, nullptr, &pause) > 0) { return 0; }
  }
}

int move_role(const Control& control, const std::string& role, const std::string& reason) {
  return say(OperatorClient(control.address, control.wire).move_role(RoleId{role}, reason));
}

int switchover(const Control& control, const std::string& role, bool force, const std::string& reason) {
  return say(OperatorClient(control.address, control.wire).switchover(RoleId{role}, force, reason));
}

int let_back(const Control& control, const std::string& blade, const std::string& reason) {
  return say(OperatorClient(control.address, control.wire).let_back(BladeId{blade}, reason));
}

int power(const Control& control, const std::string& what, const std::string& blade, bool force,
          const std::string& reason) {
  return say(OperatorClient(control.address, control.wire).power(BladeId{blade}, what == "on", force, reason));
}

int set_policy(const Control& control, const std::string& policy, const std::string& reason) {
  const auto parsed = link::parse_movement_policy(policy);
  if (!parsed) {
    complain(parsed.error());
    return 2;
  }
  return say(OperatorClient(control.address, control.wire).set_movement_policy(parsed.value(), reason));
}

}  // namespace understudy::cli
