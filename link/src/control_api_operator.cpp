// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/control_api_operator.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <sstream>
#include <vector>

#include "control.grpc.pb.h"
#include "control_api_channel.hpp"
#include "control_api_convert.hpp"
#include "tls_examine.hpp"

namespace understudy::link {

namespace {

std::vector<std::string> split(const std::string& addresses) {
  std::vector<std::string> all;
  std::istringstream words(addresses);
  for (std::string word; std::getline(words, word, ',');) {
    if (!word.empty()) { all.push_back(word); }
  }
  return all.empty() ? std::vector{addresses} : all;
}

constexpr const char* nobody_reached =
    "; while no control-server runs nothing fails over, until one is back; roles serve on where they are";

bool may_be_elsewhere(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

std::string leader_in(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find(kLeaderMetadata);
  return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
}

/// Who leads, as far as this one knows.
std::string leader_in(const GroupStatus& status) {
  for (const auto& server : status.control_servers) {
    if (server.state == "leads") { return server.address; }
  }
  return "";
}

}  // namespace

class OperatorClient::Impl {
 public:
  /// A change that was sent and not answered may have been made: it is not asked for again elsewhere.
  enum class Kind { Look, Change };

  Impl(const std::string& addresses, tls::Wire wire, std::chrono::milliseconds timeout)
      : addresses_(split(addresses)), wire_(std::move(wire)), timeout_(timeout) {
    go_to(addresses_.front());
  }

  /// From the present address on, each once, and where a leader is named to that one.
  template <class Request, class Reply>
  Result<Reply> call(grpc::Status (pb::Control::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                     const Request& request, Kind kind = Kind::Change) {
    std::vector<std::pair<std::string, grpc::Status>> unreached;
    bool redirected = false;
    for (std::size_t tries = 0; tries <= addresses_.size(); ++tries) {
      if (unusable_) { return *unusable_; }
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + timeout_);
      Reply reply;
      const bool sent = kind == Kind::Look || is_connected_by(context.deadline());
      if (sent) { context.set_deadline(std::chrono::system_clock::now() + timeout_); }
      const grpc::Status status = sent ? (stub_.get()->*method)(&context, request, &reply)
                                       : grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "it says nothing");
      if (status.ok()) { return reply; }
      if (kind == Kind::Change && sent && status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
        return failure("the control-server at " + address_ + " has not answered within " +
                       std::to_string(timeout_.count()) +
                       " ms: whether it is done is not known; look at `understudy events` before it is ordered again");
      }
      if (const auto leader = leader_in(context); !leader.empty() && !std::exchange(redirected, true)) {
        go_to(leader);
        continue;
      }
      if (!may_be_elsewhere(status)) { return explain(address_, status); }
      unreached.emplace_back(address_, status);
      if (tries + 1 >= addresses_.size()) { break; }
      next();
    }
    std::string told;  // looked into only now: it takes its time
    for (const auto& [address, status] : unreached) {
      told += (told.empty() ? "" : "; ") + explain(address, status).message;
    }
    return failure(told + nobody_reached);
  }

  Result<GroupStatus> status() {
    const auto reply = call(&pb::Control::Stub::GetStatus, pb::GetStatusRequest(), Kind::Look);
    if (!reply) { return reply.error(); }
    auto status = from_proto(reply.value());
    const auto leader = status ? leader_in(*status) : "";
    if (leader.empty() || leader == address_) { return status; }
    const auto asked = address_;
    go_to(leader);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout_);
    pb::GroupStatus better;
    if (!unusable_ && stub_->GetStatus(&context, pb::GetStatusRequest(), &better).ok()) { return from_proto(better); }
    go_to(asked);
    return status;
  }

  /// Where one of several is lost, the next goes on behind the last event that was told.
  Status watch(std::uint64_t after, bool follow, const std::function<bool(const EventRecord&)>& each,
               std::uint64_t last) {
    const auto remember = [&](const EventRecord& event) {
      after = event.id;
      return each(event);
    };
    std::string told;
    for (std::size_t lost = 0; lost < addresses_.size();) {
      const auto before = after;
      bool elsewhere = false;
      auto done = watch_one(after, follow, remember, last, elsewhere);
      if (done || !elsewhere || stopped_) { return done; }
      told = (after == before && !told.empty() ? told + "; " : std::string()) + done.error().message;
      lost = after == before ? lost + 1 : 1;
      next();
    }
    return failure(told);
  }

  Status watch_one(std::uint64_t after, bool follow, const std::function<bool(const EventRecord&)>& each,
                   std::uint64_t last, bool& elsewhere) {
    if (unusable_) { return *unusable_; }
    grpc::ClientContext context;
    pb::WatchEventsRequest request;
    request.set_after_id(after);
    request.set_follow(follow);
    request.set_last(last);
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
    elsewhere = may_be_elsewhere(status);
    return explain(address_, status);
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (running_ != nullptr) { running_->TryCancel(); }
  }

 private:
  void go_to(const std::string& address) {
    address_ = address;
    unusable_.reset();
    const auto channel = open_channel(address_, wire_);
    if (channel) {
      channel_ = channel.value();
      stub_ = pb::Control::NewStub(channel_);
    } else {
      unusable_ = channel.error();
    }
  }
  /// Whether a call would be sent, or be refused at once; who is not connected has been sent nothing.
  [[nodiscard]] bool is_connected_by(std::chrono::system_clock::time_point deadline) {
    for (auto state = channel_->GetState(true); state == GRPC_CHANNEL_IDLE || state == GRPC_CHANNEL_CONNECTING;
         state = channel_->GetState(true)) {
      if (!channel_->WaitForStateChange(state, deadline)) { return false; }
    }
    return true;
  }
  /// Of the list, behind the present one.
  void next() {
    const auto found = std::find(addresses_.begin(), addresses_.end(), address_);
    const auto behind = found == addresses_.end() ? addresses_.begin() : found + 1;
    go_to(behind == addresses_.end() ? addresses_.front() : *behind);
  }

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
  [[nodiscard]] Error explain(const std::string& address, const grpc::Status& status) const {
    switch (status.error_code()) {
      case grpc::StatusCode::UNAVAILABLE:
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return failure("the control-server at " + address + " cannot be reached (" + reason(status) + "); " +
                       examine_wire(address, wire_, timeout_));
      case grpc::StatusCode::NOT_FOUND:
        return failure(status.error_message(), Errc::NotFound);
      case grpc::StatusCode::INVALID_ARGUMENT:
        return failure(status.error_message(), Errc::BadInput);
      case grpc::StatusCode::FAILED_PRECONDITION:
      case grpc::StatusCode::PERMISSION_DENIED:
        return failure(status.error_message(), Errc::Refused);
      default:
        return failure("the control-server at " + address + " answered: " + status.error_message());
    }
  }

  const std::vector<std::string> addresses_;
  std::string address_;  ///< the one that is asked
  const tls::Wire wire_;
  const std::chrono::milliseconds timeout_;
  std::optional<Error> unusable_;           ///< our own credentials; there is no stub_ then
  std::shared_ptr<grpc::Channel> channel_;  ///< stub_'s
  std::unique_ptr<pb::Control::Stub> stub_;
  std::mutex mutex_;  ///< guards running_
  grpc::ClientContext* running_ = nullptr;
  std::atomic<bool> stopped_ = false;
};

OperatorClient::OperatorClient(const std::string& addresses, const tls::Wire& wire, std::chrono::milliseconds timeout)
    : impl_(std::make_unique<Impl>(addresses, wire, timeout)) {}
OperatorClient::~OperatorClient() = default;

Result<GroupStatus> OperatorClient::status() { return impl_->status(); }

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

Result<std::string> OperatorClient::power(const BladeId& blade, bool on, bool force, const std::string& reason) {
  pb::PowerRequest request;
  request.set_blade(blade.value);
  request.set_reason(reason);
  request.set_on(on);
  request.set_force(force);
  const auto reply = impl_->call(&pb::Control::Stub::Power, request);
  if (!reply) { return reply.error(); }
  return reply.value().text();
}

Status OperatorClient::watch_events(std::uint64_t after, bool follow,
                                    const std::function<bool(const EventRecord&)>& each, std::uint64_t last) {
  return impl_->watch(after, follow, each, last);
}

void OperatorClient::stop() { impl_->stop(); }

}  // namespace understudy::link
