// SPDX-License-Identifier: Apache-2.0
#include "edge/patient_writes.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "understudy/common/log.hpp"

namespace understudy::control {
namespace {

constexpr auto kAgain = std::chrono::milliseconds(500);

}  // namespace

void PatientWrites::use(StateStore& local) { local_ = &local; }

void PatientWrites::use(std::shared_ptr<StateStore> store, Worker& worker) {
  stop();
  shared_ = std::move(store);
  worker_ = &worker;
}

void PatientWrites::stop() {
  again_.cancel();
  waiting_.clear();
  shared_.reset();
  using_ = std::make_shared<int>(0);
}

void PatientWrites::put(const std::string& what, Write write) {
  auto& word = waiting_[what];
  word.number = ++last_;
  word.write = std::move(write);
  attempt(what);
}

void PatientWrites::attempt(const std::string& what) {
  auto& word = waiting_.at(what);
  word.failed = false;
  if (local_ != nullptr) { return ended(what, word.number, word.write(*local_)); }
  if (!shared_) { return; }
  worker_->add([this, what, number = word.number, write = word.write, store = shared_, is = std::weak_ptr(using_)] {
    if (is.expired()) { return; }
    boost::asio::post(io_, [this, what, number, is, done = write(*store)] {
      if (!is.expired()) { ended(what, number, done); }
    });
  });
}

void PatientWrites::ended(const std::string& what, std::uint64_t number, const Status& done) {
  const auto found = waiting_.find(what);
  if (found == waiting_.end() || found->second.number != number) { return; }  // a newer word came since
  if (done) {
    if (found->second.told) { log::warn("{}: this is written down now", what); }
    waiting_.erase(found);
    if (next_failed()) { again_in(std::chrono::milliseconds(0)); }
    return;
  }
  found->second.failed = true;
  if (!std::exchange(found->second.told, true)) {
    log::error("{}: this is not written down, whoever decides next would not know it; trying again: {}", what,
               log::describe(done.error()));
  }
  again_in(kAgain);
}

void PatientWrites::again_in(std::chrono::milliseconds time) {
  again_.expires_after(time);
  again_.async_wait([this, is = std::weak_ptr(using_)](const boost::system::error_code& error) {
    if (!error && !is.expired()) { try_again(); }
  });
}

std::optional<std::string> PatientWrites::next_failed() const {
  const auto failed = [](const auto& entry) { return entry.second.failed; };
  const auto behind = waiting_.upper_bound(tried_);
  auto found = std::find_if(behind, waiting_.end(), failed);
  if (found == waiting_.end()) { found = std::find_if(waiting_.begin(), behind, failed); }
  return found == waiting_.end() || !failed(*found) ? std::nullopt : std::optional(found->first);
}

/// A store that is locked lets each try wait: one tells whether it takes anything, and all else has its turn between.
void PatientWrites::try_again() {
  const auto next = next_failed();
  if (!next) { return; }
  tried_ = *next;
  attempt(*next);
}

}  // namespace understudy::control
