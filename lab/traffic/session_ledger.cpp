// SPDX-License-Identifier: Apache-2.0
#include "session_ledger.hpp"

#include <charconv>

namespace lab {
namespace {

std::vector<std::string> split(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  std::vector<std::string> words;
  while (!line.empty()) {
    const auto word = line.substr(0, line.find(' '));
    words.emplace_back(word);
    line.remove_prefix(word.size() == line.size() ? line.size() : word.size() + 1);
  }
  return words;
}

}  // namespace

SessionReply read_reply(std::string_view line) {
  SessionReply reply;
  auto words = split(line);
  if (words.size() < 3 || (words[2] != "OK" && words[2] != "ERR")) return reply;
  const auto& number = words[1];
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), reply.number);
  if (error != std::errc() || end != number.data() + number.size()) return reply;
  reply.client = words[0];
  reply.is_ok = words[2] == "OK";
  reply.words.assign(words.begin() + 3, words.end());
  reply.is_valid = reply.is_ok || !reply.words.empty();
  return reply;
}

void SessionLedger::counted(const std::string& session, std::uint64_t counter) {
  auto& record = sessions_[session];
  if (counter <= record.counter) ++went_back_;
  if (counter > record.counter + 1) ++counted_twice_;
  record.counter = counter;
  ++counts_;
}

void SessionLedger::found(const std::string& session, std::uint64_t counter, const std::string& blob) {
  const auto& record = sessions_[session];
  if (counter > record.counter) ++counted_twice_;
  if (counter < record.counter || blob != record.blob) {
    ++went_back_;
  } else {
    ++kept_;
  }
}

void SessionLedger::missing(const std::string& session) { lost_[session] = true; }

}  // namespace lab
