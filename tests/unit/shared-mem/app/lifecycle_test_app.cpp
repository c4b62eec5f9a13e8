// SPDX-License-Identifier: Apache-2.0
// An application for the supervisor's tests: does what it is told, or, by its arguments, some of it not.
//   never-quiesces  never-activates  ignores-sigterm  ignores-stop  exits=STATUS  loses-writer  needs-quiescing
//   is-unfit  was-unfit

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "understudy/app/lifecycle.hpp"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto told = [&](const std::string& word) {
    return std::find(arguments.begin(), arguments.end(), word) != arguments.end();
  };
  for (const auto& word : arguments) {
    if (word.rfind("exits=", 0) == 0) { return std::atoi(word.c_str() + 6); }
  }
  if (told("ignores-sigterm")) { std::signal(SIGTERM, SIG_IGN); }
  auto opened = understudy::app::Lifecycle::from_environment({});
  if (!opened) {
    std::cerr << opened.error().message << '\n';
    return 2;
  }
  auto lifecycle = std::move(opened).value();
  bool stop = false;
  lifecycle.set_callbacks({[&](understudy::Term term) {
                             if (told("never-activates")) { return; }
                             if (told("cannot-activate")) { return lifecycle.failed("the store is damaged"); }
                             lifecycle.active(term);
                             if (told("is-unfit") || told("was-unfit")) { lifecycle.unfit("96 degrees"); }
                             if (told("was-unfit")) { lifecycle.fit(); }
                             if (told("loses-writer")) { lifecycle.lost_writer("a newer writer"); }
                           },
                           [&] {
                             if (!told("never-quiesces")) { lifecycle.quiesced(); }
                           },
                           {},
                           [&] { stop = !told("ignores-stop"); }});
  if (told("needs-quiescing")) { lifecycle.needs_quiescing(); }
  lifecycle.ready();
  while (!stop) {
    pollfd agent{lifecycle.fd(), POLLIN, 0};
    ::poll(&agent, 1, -1);
    lifecycle.dispatch();
  }
  return 0;
}
