// SPDX-License-Identifier: Apache-2.0
#include "edge/patient_writes.hpp"

#include <boost/asio/post.hpp>
#include <vector>

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
    return;
  }
  found->second.failed = true;
  if (!std::exchange(found->second.told, true)) {
    log::error("{}: this is not written down, whoever decides next would not know it; trying again: {}", what,
               log::describe(done.error()));
  }
  again_.expires_after(kAgain);
  again_.async_wait([this, is = std::weak_ptr(using_)](const boost::system::error_code& error) {
    if (!error && !is.expired()) { try_again(); }
  });
}

void PatientWrites::try_again() {
  std::vector<std::string> failed;
  for (const auto& [what, word] : waiting_) {
    if (word.failed) { failed.push_back(what); }
  }
  for (const auto& what : failed) {
    if (waiting_.contains(what)) { attempt(what); }
  }
}

}  // namespace understudy::control
