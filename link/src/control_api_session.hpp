// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One host-agent's stream: its reports become calls of the handlers, orders wait until they are written.

#include <deque>

#include "control_api_server_impl.hpp"
#include "control_api_wire.hpp"

namespace understudy::link {

/// More unsent orders than this and the agent does not read: its session ends.
inline constexpr std::size_t kMaxUnsent = 1024;

/// One host-agent's stream. The next report is read when the one before was handled, so nothing piles up.
class ControlApiServer::Impl::Session : public grpc::ServerBidiReactor<pb::Report, pb::Order>,
                                        public std::enable_shared_from_this<Session> {
 public:
  Session(Impl& impl, Caller caller) : impl_(impl), caller_(std::move(caller)) {}

  void start() {
    id_ = impl_.add(shared_from_this());
    // Looked at after it was added: whoever stops leading from now on finds this session and ends it.
    const auto standing = impl_.standing();
    token_ = standing.token;
    pb::Order first;
    if (standing.leads) {
      first.mutable_attached()->set_state_id(standing.state_id);
      first.mutable_attached()->set_token(token_);
      if (impl_.handlers().bfd) { fill(*first.mutable_attached()->mutable_bfd(), *impl_.handlers().bfd); }
      write(std::move(first));
      read_next();
    } else {
      first.mutable_not_leader()->set_leader(standing.leader);
      refuse(std::move(first), not_leader(standing.leader));
    }
  }

  bool write(pb::Order order) {
    const std::lock_guard lock(mutex_);
    if (finished_) { return false; }
    order.set_token(token_);
    if (unsent_.size() >= kMaxUnsent) {
      finish_locked({grpc::StatusCode::RESOURCE_EXHAUSTED, "orders are not read"});
      return false;
    }
    unsent_.push_back(std::move(order));
    if (unsent_.size() == 1) { StartWrite(&unsent_.front()); }
    return true;
  }

  void finish(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    finish_locked(status);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      finish(grpc::Status::OK);
      return;
    }
    if (greeted_ && incoming_.body_case() == pb::Report::kRefused) { return hear_refused(); }
    auto report = from_proto(incoming_);
    if (report && !std::exchange(greeted_, true) && !std::holds_alternative<Hello>(report.value())) {
      report = failure("the first report must be Hello", Errc::BadInput);
    }
    if (!report) {
      finish(to_grpc(report.error()));
      return;
    }
    if (const auto* hello = std::get_if<Hello>(&report.value())) {
      if (const auto itself = impl_.tell_refused(check_claim(caller_, hello->blade)); !itself) {
        finish(forbidden(itself.error()));
        return;
      }
      blade_ = hello->blade;
      tell_certificate(blade_);
    }
    impl_.post([session = shared_from_this(), report = std::move(report).value()](Impl& impl) {
      session->told_ = true;
      impl.handlers().on_report(session->id_, report);
      session->read_next();
    });
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (finished_) { return; }
    if (!ok) {
      finish_locked({grpc::StatusCode::UNAVAILABLE, "the stream broke"});
      return;
    }
    unsent_.pop_front();
    if (!unsent_.empty()) { StartWrite(&unsent_.front()); }
  }

  void OnCancel() override { finish({grpc::StatusCode::CANCELLED, "the agent went away"}); }

  void OnDone() override {
    const auto self = shared_from_this();
    impl_.remove(id_);
    impl_.post([self](Impl& impl) {
      if (self->told_) { impl.handlers().on_detached(self->id_, self->why_); }
    });
  }

 private:
  void hear_refused() {
    impl_.post([session = shared_from_this(), at = blade_, what = printable(incoming_.refused())](Impl& impl) {
      impl.handlers().on_refused(at, what);
      session->read_next();
    });
  }
  void tell_certificate(const BladeId& blade) {
    if (!caller_.certificate) { return; }
    impl_.post([id = id_, blade, not_after = caller_.certificate->not_after](Impl& impl) {
      impl.handlers().on_certificate(id, blade, not_after);
    });
  }
  void read_next() {
    const std::lock_guard lock(mutex_);
    if (!finished_) { StartRead(&incoming_); }
  }
  void refuse(pb::Order order, const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) { return; }
    why_ = status.error_message();
    unsent_.push_back(std::move(order));
    StartWriteAndFinish(&unsent_.front(), grpc::WriteOptions(), status);
  }
  void finish_locked(const grpc::Status& status) {
    if (std::exchange(finished_, true)) { return; }
    why_ = status.ok() ? "the agent ended the stream" : status.error_message();
    Finish(status);
  }

  Impl& impl_;
  const Caller caller_;
  SessionId id_ = 0;
  std::uint64_t token_ = 0;  ///< of the leadership that it belongs to
  pb::Report incoming_;
  bool greeted_ = false;  ///< reads only (one at a time), as blade_
  BladeId blade_;
  bool told_ = false;  ///< io_context's thread: the owner knows this session
  std::mutex mutex_;   ///< guards what is below; nothing is started once finished_
  std::deque<pb::Order> unsent_;
  std::string why_;
  bool finished_ = false;
};

}  // namespace understudy::link
