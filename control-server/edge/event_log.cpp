// SPDX-License-Identifier: Apache-2.0
#include "edge/event_log.hpp"

#include <boost/asio/post.hpp>

#include "edge/clock.hpp"
#include "understudy/common/log.hpp"
#include "understudy/common/printable.hpp"

namespace understudy::control {
namespace {

constexpr std::size_t kBatch = 200;
constexpr std::size_t kWaitingMax = 2000;
constexpr std::size_t kTextMax = 4096;  ///< as the control API carries it
constexpr auto kAgain = std::chrono::milliseconds(500);

}  // namespace

EventLog::EventLog(boost::asio::io_context& io, std::function<void()> on_written)
    : io_(io), on_written_(std::move(on_written)), again_(io) {}

/// A batch that is on its way ends, within etcd's deadlines.
EventLog::~EventLog() {
  leading_.reset();
  alive_.reset();
  worker_.reset();
}

Status EventLog::use(StateStore& local) {
  const auto last = local.last_event_id();
  if (!last) { return last.error(); }
  local_ = &local;
  last_id_ = last.value();
  return {};
}

void EventLog::use(const EtcdSettings& settings) {
  settings_ = settings;
  reader_ = std::make_shared<EtcdStore>(settings, Leadership{});
  worker_.emplace();
}

void EventLog::lead(const Leadership& leadership, std::uint64_t last_id) {
  writer_ = std::make_shared<EtcdStore>(*settings_, leadership);
  leading_ = std::make_shared<int>(0);
  last_id_ = last_id;
  writing_ = failing_ = false;
  flush();
}

/// What was not confirmed is written when we lead again: told twice at worst, never lost.
void EventLog::follow() {
  writer_.reset();
  leading_.reset();
  writing_ = false;  // what is on its way answers nobody any more
  for (auto& event : waiting_) { event.id = 0; }
  settle(failure("this control-server leads no more", Errc::Expired), pushed_);
}

void EventLog::push(link::EventRecord event) {
  event.time_ns = wall_now_ns();
  event.text = printable(std::move(event.text), kTextMax);
  waiting_.push_back(std::move(event));
  ++pushed_;
}

void EventLog::add(link::EventRecord event) {
  push(std::move(event));
  if (std::exchange(flush_posted_, true)) { return; }
  boost::asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) { flush(); }
  });
}

void EventLog::write(link::EventRecord event, const Written& written) {
  if (local_ == nullptr && !writer_) { return written(failure("this control-server does not lead", Errc::Expired)); }
  if (failing_) { return written(failure(problem_)); }
  push(std::move(event));
  if (local_ == nullptr) {
    waiters_.push_back({pushed_, written});
    return flush();
  }
  flush();
  if (!failing_) { return written({}); }
  waiting_.pop_back();  // it is the newest: nobody will read of a command that was refused as of one that was done
  --pushed_;
  told_ = std::min(told_, waiting_.size());
  written(failure(problem_));
}

/// Of the waiters whose events are among the first `up_to` that ever waited.
void EventLog::settle(const Status& done, std::uint64_t up_to) {
  std::vector<Written> answered;  // who is answered may write again
  while (!waiters_.empty() && waiters_.front().number <= up_to) {
    answered.push_back(std::move(waiters_.front().written));
    waiters_.pop_front();
  }
  for (const auto& written : answered) { written(done); }
}

void EventLog::tell(const link::EventRecord& event) {
  const auto level = event.severity == link::Severity::Alarm     ? spdlog::level::err
                     : event.severity == link::Severity::Warning ? spdlog::level::warn
                                                                 : spdlog::level::info;
  const auto& subject = event.role.empty() ? event.blade.value : event.role.value;
  if (event.kind == "phase") {
    spdlog::log(level, "{} {} {} {:.3f} ms: {}", subject, event.kind, event.phase, event.ms, event.text);
  } else {
    spdlog::log(level, "{} {}: {}", subject, event.kind, event.text);
  }
}

void EventLog::flush() {
  flush_posted_ = false;
  for (; told_ < waiting_.size(); ++told_) { tell(waiting_[told_]); }
  if (local_ == nullptr) { return write_batch(); }
  if (!failing_) { write_locally(); }  // else its timer does: whoever decides must not wait for a full disk each time
}

/// What a full disk refuses is kept, and written when it has room.
void EventLog::write_locally() {
  keep_newest();
  while (!waiting_.empty()) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(waiting_.size(), kBatch));
    std::vector<link::EventRecord> batch(waiting_.begin(), waiting_.begin() + count);
    auto id = last_id_;
    for (auto& event : batch) { event.id = ++id; }
    if (const auto done = local_->append(batch); !done) { return write_locally_again(done.error()); }
    last_id_ = id;
    waiting_.erase(waiting_.begin(), waiting_.begin() + count);
    told_ -= std::min(told_, batch.size());
    tell_written();
    on_written_();
  }
}

void EventLog::write_locally_again(const Error& error) {
  tell_failure(error);
  again_.expires_after(kAgain);
  again_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& failed) {
    if (!failed && !alive.expired()) { write_locally(); }
  });
}

void EventLog::keep_newest() {
  while (waiting_.size() > kWaitingMax) {
    waiting_.pop_front();
    told_ -= told_ > 0 ? 1U : 0U;
    ++lost_;
  }
}

void EventLog::tell_failure(const Error& error) {
  problem_ = error.message;
  if (std::exchange(failing_, true)) { return; }
  log::error("the event log is not written, what happens is kept and tried again: {}", log::describe(error));
}

void EventLog::tell_written() {
  if (std::exchange(failing_, false)) { log::warn("the event log is written again; {} events were lost", lost_); }
  lost_ = 0;
}

void EventLog::write_batch() {
  if (!writing_) { keep_newest(); }
  if (!writer_ || writing_ || waiting_.empty()) { return; }
  const std::size_t count = std::min(waiting_.size(), kBatch);
  for (std::size_t i = 0; i < count; ++i) {
    if (waiting_[i].id == 0) { waiting_[i].id = ++last_id_; }
  }
  writing_ = true;
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  worker_->add([this, writer = writer_, batch = std::vector(waiting_.begin(), end), leading = std::weak_ptr(leading_)] {
    const auto done = writer->append(batch);
    boost::asio::post(io_, [this, leading, count = batch.size(), done] {
      if (!leading.expired()) { written(count, done); }
    });
  });
}

void EventLog::written(std::size_t count, const Status& done) {
  writing_ = false;
  if (done) {
    tell_written();
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    told_ -= std::min(told_, count);
    settle(done, pushed_ - waiting_.size());
    on_written_();
    return write_batch();
  }
  tell_failure(done.error());
  settle(done, pushed_);
  again_.expires_after(kAgain);
  again_.async_wait([this, leading = std::weak_ptr(leading_)](const boost::system::error_code& error) {
    if (!error && !leading.expired()) { write_batch(); }
  });
}

void EventLog::newest(const std::function<void(const Result<std::uint64_t>&)>& answer) {
  flush();
  if (local_ != nullptr) { return answer(last_id_); }
  worker_->add([this, reader = reader_, answer, alive = std::weak_ptr(alive_)] {
    boost::asio::post(io_, [answer, alive, last = reader->last_event_id()] {
      if (!alive.expired()) { answer(last); }
    });
  });
}

void EventLog::read(std::uint64_t after, std::size_t limit, const link::EventsAnswer& answer) {
  flush();
  const auto say = [](const Result<std::vector<link::EventRecord>>& found, const link::EventsAnswer& to) {
    if (!found) { log::error("the event log is not read: {}", log::describe(found.error())); }
    to(found);
  };
  if (local_ != nullptr) { return say(local_->events_after(after, limit), answer); }
  worker_->add([this, say, reader = reader_, after, limit, answer, alive = std::weak_ptr(alive_)] {
    auto found = reader->events_after(after, limit);
    boost::asio::post(io_, [say, answer, alive, found = std::move(found)] {
      if (!alive.expired()) { say(found, answer); }
    });
  });
}

}  // namespace understudy::control
