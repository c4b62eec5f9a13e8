// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One reader of the event log.

#include <algorithm>
#include <deque>
#include <optional>

#include "control_api_server_impl.hpp"
#include "control_api_wire.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::link {

inline constexpr std::size_t kEventsAtOnce = 256;
/// Seconds; ten years, so that no date makes a clock overflow.
inline constexpr std::int64_t kLongestReader = std::int64_t{10} * 366 * 86'400;

/// One reader of the event log: fetches a batch on the io_context, writes it out, fetches again.
class ControlApiServer::Impl::Follower : public grpc::ServerWriteReactor<pb::Event>,
                                         public std::enable_shared_from_this<Follower> {
 public:
  /// `last`: of the events that are there, so many at most; 0: all.
  struct Wanted {
    std::uint64_t after = 0;
    bool follow = false;
    std::uint64_t last = 0;
  };
  Follower(Impl& impl, Caller caller, const Wanted& wanted)
      : impl_(impl), caller_(std::move(caller)), after_(wanted.after), follow_(wanted.follow), last_(wanted.last) {
    if (!caller_.certificate) { return; }
    const std::int64_t left = caller_.certificate->not_after - impl_.wall_now();
    ends_at_ = boot_now() + std::chrono::seconds(std::clamp<std::int64_t>(left, 0, kLongestReader));
  }

  void start() {
    impl_.add(shared_from_this());
    if (last_ == 0 || !impl_.handlers().newest_event) { return fetch(); }
    impl_.post([self = shared_from_this()](Impl& impl) {
      impl.handlers().newest_event([self](const Result<std::uint64_t>& newest) {
        if (newest && *newest > self->last_) { self->after_ = std::max(self->after_, *newest - self->last_); }
        self->fetch();  // a log that cannot be read is told there
      });
    });
  }

  /// True: by this call, since its certificate has ended.
  bool end_with_certificate() {
    if (!ends_at_ || boot_now() < *ends_at_) { return false; }
    const std::lock_guard lock(mutex_);
    if (finished_) { return false; }
    finish_locked({grpc::StatusCode::UNAUTHENTICATED, "the certificate has ended; renew it"});
    return true;
  }
  [[nodiscard]] const Caller& caller() const { return caller_; }

  /// There may be more events; without effect while a batch is on its way.
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      more_ = true;
      if (!std::exchange(idle_, false)) { return; }
    }
    fetch();
  }

  void finish(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    finish_locked(status);
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) { return; }
      if (!ok) {
        finish_locked({grpc::StatusCode::UNAVAILABLE, "the stream broke"});
        return;
      }
      batch_.pop_front();
      if (!batch_.empty()) {
        StartWrite(&batch_.front());
        return;
      }
    }
    fetch();
  }
  void OnCancel() override { finish({grpc::StatusCode::CANCELLED, "the reader went away"}); }
  void OnDone() override {
    const auto self = shared_from_this();
    impl_.remove(this);
  }

 private:
  void fetch() {
    {
      const std::lock_guard lock(mutex_);
      more_ = false;
    }
    impl_.post([self = shared_from_this()](Impl& impl) {
      impl.handlers().events_after(self->after_, kEventsAtOnce,
                                   [self](const Result<std::vector<EventRecord>>& events) { self->feed(events); });
    });
  }

  void feed(const Result<std::vector<EventRecord>>& events) {
    if (!events) {  // who reads must not take it for the log's end
      finish({grpc::StatusCode::UNAVAILABLE, "the event log cannot be read: " + printable(events.error().message)});
      return;
    }
    bool again = false;
    {
      const std::lock_guard lock(mutex_);
      if (finished_) { return; }
      for (const auto& event : events.value()) {
        batch_.push_back(to_proto(event));
        after_ = event.id;
      }
      if (!batch_.empty()) {
        StartWrite(&batch_.front());
      } else if (!follow_) {
        finish_locked(grpc::Status::OK);
      } else {
        again = more_;
        idle_ = !again;
      }
    }
    if (again) { fetch(); }
  }

  void finish_locked(const grpc::Status& status) {
    if (!std::exchange(finished_, true)) { Finish(status); }
  }

  Impl& impl_;
  const Caller caller_;
  std::optional<Instant> ends_at_;  ///< by a clock that nobody steps: a wall clock that jumps ends no reader
  std::uint64_t after_;             ///< io_context's thread only
  const bool follow_;
  const std::uint64_t last_;
  std::mutex mutex_;  ///< guards what is below; nothing is started once finished_
  std::deque<pb::Event> batch_;
  bool more_ = false;  ///< woken since the last fetch
  bool idle_ = false;  ///< all told, waits for wake()
  bool finished_ = false;
};

}  // namespace understudy::link
