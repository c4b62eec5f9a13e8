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
  if (words.size() < 3 || (words[2] != "OK" && words[2] != "EXPOSED" && words[2] != "ERR")) return reply;
  const auto& number = words[1];
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), reply.number);
  if (error != std::errc() || end != number.data() + number.size()) return reply;
  reply.client = words[0];
  reply.is_mirrored = words[2] == "OK";
  reply.is_ok = words[2] != "ERR";
  reply.words.assign(words.begin() + 3, words.end());
  reply.is_valid = reply.is_ok || !reply.words.empty();
  return reply;
}

void SessionLedger::tell(SessionRecord& record, const Told& told) {
  record.told_ns = told.at_ns;
  if (!told.is_mirrored) return;
  record.is_mirrored = true;
  record.mirrored_counter = record.counter;
  record.mirrored_blob = record.blob;
}

void SessionLedger::made(const std::string& session, const Told& told) {
  auto& record = sessions_[session];
  record.made_ns = told.at_ns;
  tell(record, told);
}

void SessionLedger::stored(const std::string& session, const std::string& blob, const Told& told) {
  auto& record = sessions_[session];
  record.blob = blob;
  tell(record, told);
}

void SessionLedger::counted(const std::string& session, std::uint64_t counter, const Told& told) {
  auto& record = sessions_[session];
  if (counter <= record.mirrored_counter) {
    ++went_back_;
  } else if (counter <= record.counter) {
    undone_[session] = record.told_ns;
  }
  if (counter > record.counter + 1) ++counted_twice_;
  record.counter = counter;
  ++counts_;
  tell(record, told);
}

void SessionLedger::found(const std::string& session, std::uint64_t counter, const std::string& blob) {
  const auto& record = sessions_[session];
  if (counter > record.counter) ++counted_twice_;
  if (counter >= record.counter && blob == record.blob) {
    ++kept_;
    return;
  }
  const bool bytes_undone = record.blob != record.mirrored_blob && blob == record.mirrored_blob;
  const bool firm = counter < record.mirrored_counter || (blob != record.blob && !bytes_undone);
  if (firm) {
    ++went_back_;
  } else {
    undone_[session] = record.told_ns;
  }
}

void SessionLedger::missing(const std::string& session) {
  const auto& record = sessions_[session];
  if (record.is_mirrored) {
    lost_[session] = true;
  } else {
    undone_[session] = record.told_ns;
  }
}

}  // namespace lab
