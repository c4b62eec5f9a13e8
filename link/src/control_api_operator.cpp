// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/control_api_operator.hpp"

#include <atomic>
#include <mutex>
#include <optional>

#include "control.grpc.pb.h"
#include "control_api_channel.hpp"
#include "control_api_convert.hpp"
#include "tls_examine.hpp"

namespace understudy::link {

class OperatorClient::Impl {
 public:
  Impl(std::string address, tls::Wire wire, std::chrono::milliseconds timeout)
      : address_(std::move(address)), wire_(std::move(wire)), timeout_(timeout) {
    const auto channel = open_channel(address_, wire_);
    if (channel) {
      stub_ = pb::Control::NewStub(channel.value());
    } else {
      unusable_ = channel.error();
    }
  }

  template <class Request, class Reply>
  Result<Reply> call(grpc::Status (pb::Control::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                     const Request& request) {
    if (unusable_) { return *unusable_; }
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout_);
    Reply reply;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &reply);
    if (!status.ok()) { return explain(status); }
    return reply;
  }

  Status watch(std::uint64_t after, bool follow, const std::function<bool(const EventRecord&)>& each) {
    if (unusable_) { return *unusable_; }
    grpc::ClientContext context;
    pb::WatchEventsRequest request;
    request.set_after_id(after);
    request.set_follow(follow);
    if (!follow) { context.set_deadline(std::chrono::system_clock::now() + 10 * timeout_); }
    if (!set_running(&context)) { return {}; }
    const auto reader = stub_->WatchEvents(&context, request);
    pb::Event wire;
    bool wanted = true;
    std::optional<Error> damaged;
    while (wanted && !damaged && reader->Read(&wire)) {
      const auto event = from_proto(wire);
      if (!event) {
        damaged = event.error();
      } else {
        wanted = each(event.value());
      }
    }
    if (!wanted || damaged) { context.TryCancel(); }
    const grpc::Status status = reader->Finish();
    set_running(nullptr);
    if (damaged) { return *damaged; }
    if (status.ok() || !wanted || stopped_) { return {}; }
    return explain(status);
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (running_ != nullptr) { running_->TryCancel(); }
  }

 private:
  bool set_running(grpc::ClientContext* context) {
    const std::lock_guard lock(mutex_);
    running_ = context;
    return !stopped_;
  }

  /// gRPC's own words end in the system's: the last part is what a person can use.
  static std::string reason(const grpc::Status& status) {
    const auto& text = status.error_message();
    const auto at = text.rfind(": ");
    return at == std::string::npos ? text : text.substr(at + 2);
  }
  [[nodiscard]] Error explain(const grpc::Status& status) const {
    switch (status.error_code()) {
      case grpc::StatusCode::UNAVAILABLE:
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return failure("the control-server at " + address_ + " cannot be reached (" + reason(status) + "); " +
                       examine_wire(address_, wire_, timeout_));
      case grpc::StatusCode::NOT_FOUND:
        return failure(status.error_message(), Errc::NotFound);
      case grpc::StatusCode::INVALID_ARGUMENT:
        return failure(status.error_message(), Errc::BadInput);
      case grpc::StatusCode::FAILED_PRECONDITION:
      case grpc::StatusCode::PERMISSION_DENIED:
        return failure(status.error_message(), Errc::Refused);
      default:
        return failure("the control-server at " + address_ + " answered: " + status.error_message());
    }
  }

  const std::string address_;
  const tls::Wire wire_;
  const std::chrono::milliseconds timeout_;
  std::optional<Error> unusable_;  ///< our own credentials; there is no stub_ then
  std::unique_ptr<pb::Control::Stub> stub_;
  std::mutex mutex_;  ///< guards running_
  grpc::ClientContext* running_ = nullptr;
  std::atomic<bool> stopped_ = false;
};

OperatorClient::OperatorClient(std::string address, const tls::Wire& wire, std::chrono::milliseconds timeout)
    : impl_(std::make_unique<Impl>(std::move(address), wire, timeout)) {}
OperatorClient::~OperatorClient() = default;

Result<GroupStatus> OperatorClient::status() {
  const auto reply = impl_->call(&pb::Control::Stub::GetStatus, pb::GetStatusRequest());
  if (!reply) { return reply.error(); }
  return from_proto(reply.value());
}

Result<std::string> OperatorClient::move_role(const RoleId& role, const std::string& reason) {
  pb::MoveRoleRequest request;
  request.set_reason(reason);
  request.set_role(role.value);
  const auto reply = impl_->call(&pb::Control::Stub::MoveRole, request);
  if (!reply) { return reply.error(); }
  return reply.value().text();
}

Result<std::string> OperatorClient::set_movement_policy(MovementPolicy policy, const std::string& reason) {
  pb::SetMovementPolicyRequest request;
  request.set_reason(reason);
  request.set_policy(to_proto(policy));
  const auto reply = impl_->call(&pb::Control::Stub::SetMovementPolicy, request);
  if (!reply) { return reply.error(); }
  return reply.value().text();
}

Result<std::string> OperatorClient::let_back(const BladeId& blade, const std::string& reason) {
  pb::LetBackRequest request;
  request.set_blade(blade.value);
  request.set_reason(reason);
  const auto reply = impl_->call(&pb::Control::Stub::LetBack, request);
  if (!reply) { return reply.error(); }
  return reply.value().text();
}

Result<std::string> OperatorClient::switchover(const RoleId& role, bool force, const std::string& reason) {
  pb::SwitchoverRequest request;
  request.set_role(role.value);
  request.set_reason(reason);
  request.set_force(force);
  const auto reply = impl_->call(&pb::Control::Stub::Switchover, request);
  if (!reply) { return reply.error(); }
  return reply.value().text();
}

Status OperatorClient::watch_events(std::uint64_t after, bool follow,
                                    const std::function<bool(const EventRecord&)>& each) {
  return impl_->watch(after, follow, each);
}

void OperatorClient::stop() { impl_->stop(); }

}  // namespace understudy::link
