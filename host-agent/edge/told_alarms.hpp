// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a person must know of the roles on this blade, on its way to the control-server: it must not stay in a log that
/// nobody reads until it is too late.
///
///     alarm ──► heard() ──► RoleAlarm, now            connected(): what stands, and what came while nobody listened
///     end   ──► over()  ──► its end, if it was told
///
/// Invariants: the same sentence at most once in `again`; of a role so many in that time and so many that stand, since
/// a guest may say anything; whatever was told to stand ends, at the latest when the role is not here any more.

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "understudy/link/messages.hpp"

namespace understudy::host {

class ToldAlarms {
 public:
  using Reports = std::vector<link::RoleAlarm>;
  static constexpr Duration again = std::chrono::minutes(1);
  static constexpr std::size_t most = 20;           ///< of a role in `again`
  static constexpr std::size_t standing_most = 12;  ///< of a role
  static constexpr std::size_t waiting_most = 100;

  /// What is to be sent now. Without a topic it is an event.
  Reports heard(Instant now, const RoleId& role, Term term, const std::string& topic, const std::string& text) {
    if (role.empty() || term.value == 0 || text.empty() || !may_say(now, role, topic, text)) { return {}; }
    const link::RoleAlarm alarm{role, term, topic, text};
    if (!topic.empty()) { standing_[{role, topic}] = alarm; }
    if (connected_) { return {alarm}; }
    if (topic.empty()) { waiting_.push_back(alarm); }
    if (waiting_.size() > waiting_most) { waiting_.pop_front(); }
    return {};
  }

  /// What stood under a topic that begins so.
  Reports over(const RoleId& role, const std::string& topics) {
    return end([&](const link::RoleAlarm& alarm) { return alarm.role == role && alarm.topic.starts_with(topics); });
  }
  /// Of roles that are not here any more.
  template <class Roles>
  Reports gone(const Roles& here) {
    return end([&](const link::RoleAlarm& alarm) { return !here.contains(alarm.role); });
  }

  /// The Hello has been sent.
  Reports connected() {
    connected_ = true;
    Reports reports(waiting_.begin(), waiting_.end());
    waiting_.clear();
    for (const auto& [key, alarm] : standing_) { reports.push_back(alarm); }
    return reports;
  }
  void lost() { connected_ = false; }

 private:
  bool may_say(Instant now, const RoleId& role, const std::string& topic, const std::string& text) {
    auto& said = said_[role];
    std::erase_if(said, [&](const auto& one) { return now - one.second >= again; });
    if (said.size() >= most) { return false; }
    if (topic.empty() && said.contains(text)) { return false; }
    if (topic.empty()) {
      said.emplace(text, now);
      return true;
    }
    const auto found = standing_.find({role, topic});
    if (found != standing_.end() && found->second.detail == text) { return false; }
    std::size_t standing = found == standing_.end() ? 1 : 0;
    for (const auto& [key, alarm] : standing_) { standing += key.first == role ? 1U : 0U; }
    said.emplace(topic + " " + text, now);
    return standing <= standing_most;
  }

  template <class Ended>
  Reports end(const Ended& ended) {
    Reports reports;
    for (auto entry = standing_.begin(); entry != standing_.end();) {
      if (!ended(entry->second)) {
        ++entry;
        continue;
      }
      if (connected_) { reports.push_back({entry->second.role, entry->second.term, entry->second.topic, ""}); }
      entry = standing_.erase(entry);
    }
    return reports;
  }

  bool connected_ = false;
  std::map<std::pair<RoleId, std::string>, link::RoleAlarm> standing_;
  std::deque<link::RoleAlarm> waiting_;
  std::map<RoleId, std::multimap<std::string, Instant>> said_;
};

}  // namespace understudy::host
