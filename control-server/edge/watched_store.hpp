// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A state store as everybody writes it, that remembers whether it can be written: a store that takes nothing decides
/// nothing, and that must be seen before it is needed. Nor is anything decided while a write does not come back: the
/// loop waits for each.
///
///     core's ownerships, protection, hold-outs, events ──► WatchedStore ──► Store
///                                    probe(), now and then ──►  ├── problem(): of the last write, for every status
///                                                               └── take_slow(): how long the loop has stood still

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "edge/state_store.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::control {

/// One thread at a time.
class WatchedStore final : public StateStore {
 public:
  using Now = std::function<Instant()>;
  explicit WatchedStore(std::unique_ptr<StateStore> store, Now now = boot_now)
      : store_(std::move(store)), now_(std::move(now)) {}

  /// Longer than a takeover has in all.
  static constexpr Duration kSlow = std::chrono::milliseconds(500);
  /// The slowest write since this was asked last, done or not; nothing: none was slow.
  [[nodiscard]] std::optional<Duration> take_slow() {
    const auto slowest = std::exchange(slowest_, Duration{0});
    return slowest >= kSlow ? std::optional(slowest) : std::nullopt;
  }

  /// Why the last write was not taken; empty: it was. That somebody else has written is no such reason.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// Writes something that nobody reads.
  Status probe(std::int64_t wall_ns) { return keep("probe", std::to_string(wall_ns)); }

  [[nodiscard]] const std::string& state_id() const override { return store_->state_id(); }
  Result<std::vector<Ownership>> ownerships() override { return store_->ownerships(); }
  Status compare_and_set(Term expected, Term expected_reserved, const Ownership& next) override {
    return seen([&] { return store_->compare_and_set(expected, expected_reserved, next); });
  }
  Status keep(const std::string& key, const std::string& value) override {
    return seen([&] { return store_->keep(key, value); });
  }
  Result<std::map<std::string, std::string>> kept(const std::string& prefix) override { return store_->kept(prefix); }
  Result<std::set<RoleId>> protected_roles() override { return store_->protected_roles(); }
  Status set_protected(const RoleId& role, bool is) override {
    return seen([&] { return store_->set_protected(role, is); });
  }
  Result<std::uint64_t> last_event_id() override { return store_->last_event_id(); }
  Status append(const std::vector<link::EventRecord>& events) override {
    return seen([&] { return store_->append(events); });
  }
  Result<std::vector<link::EventRecord>> events_after(std::uint64_t after, std::size_t limit) override {
    return store_->events_after(after, limit);
  }

 private:
  template <class Write>
  Status seen(Write write) {
    const auto began = now_();
    Status done = write();
    slowest_ = std::max(slowest_, now_() - began);
    if (done) {
      problem_.clear();
    } else if (done.error().code != Errc::Refused) {
      problem_ = done.error().message;
    }
    return done;
  }

  std::unique_ptr<StateStore> store_;
  Now now_;
  std::string problem_;
  Duration slowest_{0};
};

}  // namespace understudy::control
