// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a client of the session service was told, and what it may therefore rely on: pure.
///
/// Only a reply counts. A request without a reply is repeated with its number until there is one, so that at most the
/// change under way is in doubt, and never for ever. What was told while the role was exposed (no mirror held it) may
/// be undone by the failure that follows, and by nothing else: it goes into `undone` with the time when it was told,
/// and whoever knows the time of the failure judges.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lab {

/// A reply line: "<client> <number> OK|EXPOSED [...]" or "<client> <number> ERR <code> <sentence>".
struct SessionReply {
  bool is_valid = false, is_ok = false, is_mirrored = false;
  std::string client;
  std::uint64_t number = 0;
  std::vector<std::string> words;  ///< results, or code and sentence
};
SessionReply read_reply(std::string_view line);

struct SessionRecord {
  std::uint64_t counter = 0;  ///< as told last
  std::string blob = "-";     ///< hex, as the protocol writes it; "-" is 0 bytes
  std::int64_t made_ns = 0;
  std::int64_t told_ns = 0;
  // What a mirror held when it was told. A later reply about a session that a mirror holds covers all before it.
  bool is_mirrored = false;
  std::uint64_t mirrored_counter = 0;
  std::string mirrored_blob = "-";
};

/// When a reply came, and whether a mirror held what it told.
struct Told {
  std::int64_t at_ns = 0;
  bool is_mirrored = true;
};

class SessionLedger {
 public:
  void made(const std::string& session, const Told& told);
  void stored(const std::string& session, const std::string& blob, const Told& told);
  /// What COUNT told. Less than one above what was acknowledged: it went back. More: a retry was counted twice.
  void counted(const std::string& session, std::uint64_t counter, const Told& told);

  // The last look at every session.
  void found(const std::string& session, std::uint64_t counter, const std::string& blob);
  void missing(const std::string& session);

  [[nodiscard]] const std::map<std::string, SessionRecord>& sessions() const { return sessions_; }
  [[nodiscard]] std::uint64_t kept() const { return kept_; }
  [[nodiscard]] std::uint64_t lost() const { return lost_.size(); }
  [[nodiscard]] std::uint64_t went_back() const { return went_back_; }
  [[nodiscard]] std::uint64_t counted_twice() const { return counted_twice_; }
  /// When what was undone had been told last, one for each session that went back or is missing.
  [[nodiscard]] const std::map<std::string, std::int64_t>& undone() const { return undone_; }
  [[nodiscard]] std::uint64_t counts() const { return counts_; }

 private:
  static void tell(SessionRecord& record, const Told& told);
  std::map<std::string, SessionRecord> sessions_;
  std::map<std::string, std::int64_t> undone_;
  std::map<std::string, bool> lost_;
  std::uint64_t kept_ = 0, went_back_ = 0, counted_twice_ = 0, counts_ = 0;
};

}  // namespace lab
