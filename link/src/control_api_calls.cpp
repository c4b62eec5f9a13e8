// SPDX-License-Identifier: Apache-2.0
// The calls of the control API: who may make them, and what they do. Operators' calls are handled one after the other
// on the io_context.
#include "control_api_follower.hpp"
#include "control_api_session.hpp"
#include "understudy/link/say_why.hpp"

namespace understudy::link {

grpc::Status to_grpc(const Error& error) {
  switch (error.code) {
    case Errc::NotFound:
      return {grpc::StatusCode::NOT_FOUND, error.message};
    case Errc::BadInput:
      return {grpc::StatusCode::INVALID_ARGUMENT, error.message};
    case Errc::Refused:
      return {grpc::StatusCode::FAILED_PRECONDITION, error.message};
    default:
      return {grpc::StatusCode::INTERNAL, error.message};
  }
}

grpc::Status not_leader(const std::string& leader) {
  return {grpc::StatusCode::FAILED_PRECONDITION,
          leader.empty() ? "this control-server does not lead, and at this moment no other does: nothing is decided"
                         : "this control-server is not the leader, leader is " + leader};
}

namespace {

using Impl = ControlApiServer::Impl;

/// A stream that is refused before it begins.
template <class Reactor>
class Refusal : public Reactor {
 public:
  explicit Refusal(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }  // gRPC's own way: nobody else has it
};

class Service : public pb::Control::CallbackService {
 public:
  explicit Service(Impl& impl) : impl_(impl) {}

  grpc::ServerBidiReactor<pb::Report, pb::Order>* Attach(grpc::CallbackServerContext* context) override {
    auto caller = impl_.caller(*context);
    if (const auto allowed = impl_.tell_refused(check_right(caller, Right::Attach)); !allowed) {
      return new Refusal<grpc::ServerBidiReactor<pb::Report, pb::Order>>(forbidden(allowed.error()));
    }
    const auto session = std::make_shared<Impl::Session>(impl_, std::move(caller));
    session->start();
    return session.get();
  }

  grpc::ServerWriteReactor<pb::Event>* WatchEvents(grpc::CallbackServerContext* context,
                                                   const pb::WatchEventsRequest* request) override {
    auto caller = impl_.caller(*context);
    if (const auto allowed = impl_.tell_refused(check_right(caller, Right::Look)); !allowed) {
      return new Refusal<grpc::ServerWriteReactor<pb::Event>>(forbidden(allowed.error()));
    }
    const Impl::Follower::Wanted wanted{request->after_id(), request->follow(), request->last()};
    const auto follower = std::make_shared<Impl::Follower>(impl_, std::move(caller), wanted);
    follower->start();
    return follower.get();
  }

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context, const pb::GetStatusRequest* /*request*/,
                                      pb::GroupStatus* reply) override {
    return answer(context, Right::Look, [reply](Impl& impl) {
      *reply = to_proto(impl.handlers().status());
      return grpc::Status::OK;
    });
  }

  grpc::ServerUnaryReactor* MoveRole(grpc::CallbackServerContext* context, const pb::MoveRoleRequest* request,
                                     pb::Done* reply) override {
    return change(context, *request, reply, Why::Needed,
                  [request](Impl& impl, const Command& command, const CommandAnswer& answer) {
                    if (!valid_name(request->role())) {
                      return answer(failure("that is no role's name", Errc::BadInput));
                    }
                    impl.handlers().move_role(command, RoleId{request->role()}, answer);
                  });
  }

  grpc::ServerUnaryReactor* LetBack(grpc::CallbackServerContext* context, const pb::LetBackRequest* request,
                                    pb::Done* reply) override {
    return change(context, *request, reply, Why::Wanted,
                  [request](Impl& impl, const Command& command, const CommandAnswer& answer) {
                    if (!valid_name(request->blade())) {
                      return answer(failure("that is no blade's name", Errc::BadInput));
                    }
                    impl.handlers().let_back(command, BladeId{request->blade()}, answer);
                  });
  }

  grpc::ServerUnaryReactor* Switchover(grpc::CallbackServerContext* context, const pb::SwitchoverRequest* request,
                                       pb::Done* reply) override {
    return change(context, *request, reply, Why::Needed,
                  [request](Impl& impl, const Command& command, const CommandAnswer& answer) {
                    if (!valid_name(request->role())) {
                      return answer(failure("that is no role's name", Errc::BadInput));
                    }
                    impl.handlers().switchover(command, RoleId{request->role()}, request->force(), answer);
                  });
  }

  grpc::ServerUnaryReactor* Power(grpc::CallbackServerContext* context, const pb::PowerRequest* request,
                                  pb::Done* reply) override {
    return change(context, *request, reply, Why::Needed,
                  [request](Impl& impl, const Command& command, const CommandAnswer& answer) {
                    if (!valid_name(request->blade())) {
                      return answer(failure("that is no blade's name", Errc::BadInput));
                    }
                    impl.handlers().power(command, BladeId{request->blade()}, request->on(), request->force(), answer);
                  });
  }

  grpc::ServerUnaryReactor* SetMovementPolicy(grpc::CallbackServerContext* context,
                                              const pb::SetMovementPolicyRequest* request, pb::Done* reply) override {
    return change(context, *request, reply, Why::Wanted,
                  [request](Impl& impl, const Command& command, const CommandAnswer& answer) {
                    const auto policy = from_proto(request->policy());
                    if (!policy) { return answer(policy.error()); }
                    impl.handlers().set_movement_policy(command, policy.value(), answer);
                  });
  }

 private:
  /// Of a command's reason: what stops or moves a role is not done without one.
  enum class Why { Wanted, Needed };

  static grpc::Status done(Impl& impl, grpc::CallbackServerContext& context, const Result<std::string>& result,
                           pb::Done& reply) {
    if (!result && result.error().code == Errc::Expired) {
      const auto leader = impl.standing().leader;
      context.AddTrailingMetadata(kLeaderMetadata, leader);
      return not_leader(leader);
    }
    if (!result) { return to_grpc(result.error()); }
    reply.set_text(result.value());
    return grpc::Status::OK;
  }

  template <class Request, class Action>
  grpc::ServerUnaryReactor* change(grpc::CallbackServerContext* context, const Request& request, pb::Done* reply,
                                   Why why, Action action) {
    const Command command{impl_.caller(*context).who(), request.reason()};
    return begin(context, Right::Change, [context, command, reply, why, action](Impl& impl, std::uint64_t id) {
      const auto answer = [context, reply, id, weak = impl.weak_from_this()](const Result<std::string>& result) {
        const auto self = weak.lock();
        if (self) {
          self->finish_pending(id, [&] { return done(*self, *context, result, *reply); });
        }
      };
      if (!impl.standing().leads) { return answer(failure("this control-server does not lead", Errc::Expired)); }
      if (command.reason.size() > bounds::kReasonBytes) {
        return answer(
            failure("a reason has at most " + std::to_string(bounds::kReasonBytes) + " bytes", Errc::BadInput));
      }
      if (why == Why::Needed && is_blank(command.reason)) { return answer(failure(kSayWhy, Errc::BadInput)); }
      const auto is_gone = [context, id, weak = impl.weak_from_this()] {
        const auto self = weak.lock();
        return !self || self->is_gone(id, context);
      };
      action(impl, Command{command.who, printable(command.reason), is_gone}, answer);
    });
  }

  /// An action that knows its reply at once.
  template <class Action>
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, Right right, Action action) {
    return begin(context, right,
                 [action](Impl& impl, std::uint64_t id) { impl.finish_pending(id, [&] { return action(impl); }); });
  }

  /// Request and reply live until Finish; a stopping server finishes what its handlers never saw.
  template <class Action>
  grpc::ServerUnaryReactor* begin(grpc::CallbackServerContext* context, Right right, Action action) {
    auto* reactor = context->DefaultReactor();
    if (const auto allowed = impl_.tell_refused(check_right(impl_.caller(*context), right)); !allowed) {
      reactor->Finish(forbidden(allowed.error()));
      return reactor;
    }
    const auto id = impl_.add_pending(reactor);
    impl_.post([id, action](Impl& impl) { action(impl, id); });
    return reactor;
  }

  Impl& impl_;
};

}  // namespace

std::unique_ptr<pb::Control::CallbackService> make_service(ControlApiServer::Impl& impl) {
  return std::make_unique<Service>(impl);
}

}  // namespace understudy::link
