// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A writer of one small table (image_check.hpp), frozen after every single store to shared memory. After each of them
/// a fresh process opens the file, and goes on writing a copy of it (fresh_process.hpp); of every so manieth it is a
/// program of its own, with the product's library.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "fresh_process.hpp"
#include "image_check.hpp"
#include "suspended.hpp"

namespace understudy::shm::crash {

/// Runs changes with every store checked. `deep`: also freezes the next writer's own recovery after each store.
class EveryPrefix {
 public:
  explicit EveryPrefix(TableKind kind = TableKind::Hashed, bool deep = false) : deep_(deep) {
    EXPECT_TRUE(Region::create(file_.path(), crash_region_bytes, crash_schema(kind)).ok());
  }
  ~EveryPrefix() {
    points::on_store = nullptr;
    points::swap = {};
    points::held_back.clear();
  }
  EveryPrefix(const EveryPrefix&) = delete;
  EveryPrefix& operator=(const EveryPrefix&) = delete;

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] std::uint64_t images() const { return images_; }
  [[nodiscard]] const Expected& state() const { return state_; }
  std::vector<std::string> violations;
  bool release_next = false;  ///< the next writers of the images are asked for nothing: each would wait anew

  /// Calls `change`, which must bring the store from the present state through `steps`, as one commit.
  void run(const std::vector<Step>& steps, const std::function<Status()>& change) { run_as({steps}, change); }

  /// The same of as many commits as there are steps, one after the other.
  void run_one_by_one(const std::vector<Step>& steps, const std::function<Status()>& change) {
    std::vector<std::vector<Step>> commits;
    for (const Step& step : steps) { commits.push_back({step}); }
    run_as(commits, change);
  }

  /// The same without a look at what is in between.
  void skip(const std::vector<Step>& steps, const std::function<Status()>& change) {
    if (const Status done = change(); !done) { violations.push_back(done.error().message); }
    state_ = after(state_, steps);
  }

 private:
  static constexpr std::uint64_t programs_each = 101;  ///< images for each that a program of its own looks at

  void run_as(const std::vector<std::vector<Step>>& commits, const std::function<Status()>& change) {
    no_region_in_children();
    std::size_t done = 0;
    Expected then = after(state_, commits[0]);
    points::on_store = [&] {
      freeze(state_, then, commits[done]);
      if (found_ != then.committed || done + 1 >= commits.size()) { return; }
      state_ = then;
      then = after(state_, commits[++done]);
    };
    const Status changed = change();
    points::on_store = nullptr;
    if (!changed) { violations.push_back(changed.error().message); }
    if (done + 1 != commits.size()) { violations.emplace_back("not as many commits as there are steps"); }
    state_ = then;
    check_reader(path(), state_, state_, violations);
  }

  void freeze(const Expected& before, const Expected& then, const std::vector<Step>& steps) {
    if (violations.size() > 20) { return; }
    ++images_;
    const Suspended suspended;
    const bool by_program = !deep_ && !release_next && images_ % programs_each == 0;
    const Told told = by_program ? by_a_fresh_program(path(), copy_.path(), before, then, steps)
                                 : in_a_fresh_process([&](Told& tell) { look(before, then, steps, tell); });
    images_ += told.images;
    found_ = told.found ? told.committed : ~std::uint64_t{0};
    if (told.violations.empty()) { return; }
    violations.insert(violations.end(), told.violations.begin(), told.violations.end());
    violations.back() += " (image " + std::to_string(images_) + ")";
  }

  /// In the fresh process.
  void look(const Expected& before, const Expected& then, const std::vector<Step>& steps, Told& tell) {
    const auto found = check_reader(path(), before, then, tell.violations);
    if (!found) { return; }
    tell.found = true;
    tell.committed = found->committed;
    copy_image(path(), copy_.path());
    if (release_next) { release(copy_.path()); }
    if (deep_) { freeze_recovery(*found, steps, tell); }
    check_next_writer(copy_.path(), *found, steps, tell.violations);
  }

  static void release(const std::string& path) {
    auto region = Region::open(path, Access::ReadWrite);
    if (region) { (void)region->store("state").value().release_writer(); }
  }

  /// The next writer dies while it takes over, after each of its stores; the one after it must not notice.
  void freeze_recovery(const Expected& found, const std::vector<Step>& steps, Told& tell) {
    auto region = Region::open(copy_.path(), Access::ReadWrite).value();
    no_region_in_children();
    points::on_store = [&] {
      const Suspended suspended;
      ++tell.images;
      const Told told = in_a_fresh_process([&](Told& then) {
        if (!check_reader(copy_.path(), found, found, then.violations)) { return; }
        copy_image(copy_.path(), second_copy_.path());
        check_next_writer(second_copy_.path(), found, steps, then.violations);
      });
      tell.violations.insert(tell.violations.end(), told.violations.begin(), told.violations.end());
    };
    const auto writer = region.store("state").value().become_writer(Term{999});
    points::on_store = nullptr;
    if (!writer) { tell.violations.push_back("dying writer: " + writer.error().message); }
  }

  bool deep_;
  ImageFile file_{"file"};
  ImageFile copy_{"copy"};
  ImageFile second_copy_{"second"};
  Expected state_;
  std::uint64_t images_ = 0;
  std::uint64_t found_ = 0;  ///< the commit point that the last look found
};

inline std::string first_of(const std::vector<std::string>& violations) {
  return violations.empty() ? "" : violations.front();
}

}  // namespace understudy::shm::crash
