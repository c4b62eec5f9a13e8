// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One Attach stream, seen from the host-agent. Private to the control API's client.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "control.grpc.pb.h"
#include "control_api_channel.hpp"
#include "control_api_convert.hpp"

namespace understudy::link {

/// More unsent reports than this and the stream is stuck: it is ended, and the next Hello tells the truth anew.
inline constexpr std::size_t kMaxUnsentReports = 4096;

/// One try: one channel, one stream. gRPC's threads run the On... functions; `notify` carries what they see to the
/// owner's io_context. Reads are asked for one at a time by the owner, so nothing piles up here.
///
/// Lifetime: the owner deletes it on its own thread, after wait_done(): gRPC lets go of it in OnDone, whose last act is
/// `done_`. The hold is what allows writes from the owner's thread; it goes with the first failed read, and after that
/// (`ending_`) nobody starts an operation any more.
class Attachment : public grpc::ClientBidiReactor<pb::Report, pb::Order> {
 public:
  struct Notify {
    std::function<void(pb::Order)> on_read;
    std::function<void(std::string why)> on_ended;
    std::function<std::string()> examine;  ///< not set: no need; else asked when nobody answers
  };

  Attachment(const std::shared_ptr<grpc::Channel>& channel, Notify notify)
      : notify_(std::move(notify)), stub_(pb::Control::NewStub(channel)) {}

  void start() {
    stub_->async()->Attach(&context_, this);
    AddHold();
    read_next();
    StartCall();
  }

  /// Without effect while a read is under way.
  void read_next() {
    const std::lock_guard lock(mutex_);
    if (!ending_ && !std::exchange(reading_, true)) { StartRead(&incoming_); }
  }

  bool write(pb::Report report) {
    const std::lock_guard lock(mutex_);
    if (ending_) { return false; }
    if (unsent_.size() >= kMaxUnsentReports) {
      context_.TryCancel();
      return false;
    }
    unsent_.push_back(std::move(report));
    if (unsent_.size() == 1) { StartWrite(&unsent_.front()); }
    return true;
  }

  void cancel() { context_.TryCancel(); }

  /// Until gRPC has let go; no notify afterwards. At once when on_ended was notified, else cancel() goes before.
  void wait_done() {
    {
      const std::lock_guard lock(mutex_);
      abandoned_ = true;
    }
    read_next();  // the owner may owe a read; without one the stream's end would not be seen
    std::unique_lock lock(mutex_);
    done_signal_.wait(lock, [this] { return done_; });
  }

  void OnReadDone(bool ok) override {
    pb::Order order;
    bool abandoned = false;
    {
      const std::lock_guard lock(mutex_);
      reading_ = false;
      ending_ = !ok;
      heard_ = heard_ || ok;
      abandoned = abandoned_;
      order = std::move(incoming_);
    }
    if (!ok) {
      RemoveHold();
    } else if (abandoned) {
      read_next();  // nobody asks for the next one any more, and one is needed to see the end
    } else {
      notify_.on_read(std::move(order));
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!ok || ending_) { return; }
    unsent_.pop_front();
    if (!unsent_.empty()) { StartWrite(&unsent_.front()); }
  }

  void OnDone(const grpc::Status& status) override {
    auto why = status.ok() ? "the control-server ended the stream" : status.error_message();
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE && !heard_ && notify_.examine) { why = notify_.examine(); }
    notify_.on_ended(std::move(why));
    const std::lock_guard lock(mutex_);
    done_ = true;
    done_signal_.notify_all();
  }

 private:
  Notify notify_;
  std::unique_ptr<pb::Control::Stub> stub_;
  grpc::ClientContext context_;
  std::mutex mutex_;  ///< guards what is below
  std::condition_variable done_signal_;
  pb::Order incoming_;
  bool reading_ = false;
  bool heard_ = false;             ///< anything of the server
  std::deque<pb::Report> unsent_;  ///< the first is being written
  bool abandoned_ = false;         ///< the owner waits for the end and nothing else
  bool ending_ = false;
  bool done_ = false;
};

}  // namespace understudy::link
