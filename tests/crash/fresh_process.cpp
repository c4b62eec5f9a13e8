// SPDX-License-Identifier: Apache-2.0
#include "fresh_process.hpp"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "image_text.hpp"

namespace understudy::shm::crash {
namespace {

constexpr unsigned longest_look_seconds = 120;

std::uint64_t one_fresh_of() {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  return 16;
#else
  static const std::uint64_t images = std::getenv("UNDERSTUDY_FULL") != nullptr ? 1 : 4;
  return images;
#endif
}

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

void read_all(int from, std::string& text) {
  std::array<char, 4096> part{};
  for (ssize_t got = 0; (got = ::read(from, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
}

void write_all(int to, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t done = ::write(to, text.data() + at, text.size() - at);
    if (done <= 0) { give_up("what is told"); }
    at += static_cast<std::size_t>(done);
  }
}

/// What was told, and how its process ended.
Told ended(pid_t child, const std::string& text) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) { give_up("waitpid"); }
  Told told = told_from(text);
  if (WIFSIGNALED(status)) {
    told.violations.push_back(std::string("a fresh process died: ") + ::strsignal(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    told.violations.push_back("a fresh process ended with " + std::to_string(WEXITSTATUS(status)));
  }
  return told;
}

}  // namespace

void no_region_in_children() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(ImageFile::prefix) == std::string::npos) { continue; }
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2 ||
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTFORK) != 0) {
      give_up("a region's mapping");
    }
  }
}

Told in_a_fresh_process(const std::function<void(Told& told)>& look, Share share) {
  static std::uint64_t looks = 0;
  if (share == Share::OfPrefixes && ++looks % one_fresh_of() != 0) {
    Told told;
    look(told);
    return told;
  }
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) { give_up("pipe"); }
  const pid_t child = ::fork();
  if (child < 0) { give_up("fork"); }
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::alarm(longest_look_seconds);
    Told told;
    look(told);
    write_all(ends[1], text_of(told));
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  read_all(ends[0], text);
  ::close(ends[0]);
  return ended(child, text);
}

Told by_a_fresh_program(const std::string& path, const std::string& copy, const Expected& before, const Expected& after,
                        const std::vector<Step>& in_flight) {
  std::array<int, 2> asked{};
  std::array<int, 2> ends{};
  if (::pipe(asked.data()) != 0 || ::pipe(ends.data()) != 0) { give_up("pipe"); }
  ::posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, asked[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  for (const int fd : {asked[0], asked[1], ends[0], ends[1]}) { ::posix_spawn_file_actions_addclose(&actions, fd); }
  std::string program = IMAGE_CHECKER;
  std::string file = path;
  std::string copied = copy;
  std::array<char*, 4> arguments{program.data(), file.data(), copied.data(), nullptr};
  pid_t child = -1;
  if (::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ) != 0) {
    give_up(IMAGE_CHECKER);
  }
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(asked[0]);
  ::close(ends[1]);
  write_all(asked[1], text_of(before) + text_of(after) + text_of(in_flight));  // far less than a pipe takes
  ::close(asked[1]);
  std::string text;
  read_all(ends[0], text);
  ::close(ends[0]);
  return ended(child, text);
}

}  // namespace understudy::shm::crash
