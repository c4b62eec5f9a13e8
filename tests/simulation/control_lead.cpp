// SPDX-License-Identifier: Apache-2.0
/// One of several simulated control-servers: the election's edge and what service_lead.cpp does, with etcd's answers
/// late or lost.
#include "control_edge.hpp"

namespace understudy::sim {

using namespace control;

namespace {
constexpr Duration poll = 300ms;
}

// --- who leads ---

void ControlServer::round() { follow(leading_->begin(process.machine().clock())); }

void ControlServer::answered(const LeadAnswer& answer) {
  follow(leading_->answered(process.machine().clock(), answer));
}

void ControlServer::follow(const Leading::Step& step) {
  const auto life = process.life();
  if (step.lost) { stop_deciding(*step.lost); }
  if (step.won != 0) {
    token = step.won;
    follows = index_;
    world.trace(name_, "won the lead under token " + std::to_string(token));
    watch_tenure();
    read_state();
  }
  if (process.life() != life) { return; }
  if (step.ask) { return ask(*step.ask); }
  process.post(poll, [this] { round(); });
}

void ControlServer::ask(const LeadAsk& what) {
  const auto result = std::make_shared<LeadAnswer>(NoAnswer{"etcd does not answer"});
  auto op = [this, what, result] {
    auto& etcd = all_.etcd;
    if (const auto* kept = std::get_if<KeepLease>(&what)) {
      *result = LeaseKept{etcd.keep(kept->lease)};
    } else if (std::holds_alternative<GrantLease>(what)) {
      *result = LeaseGranted{etcd.grant()};
    } else if (const auto* campaign = std::get_if<Campaign>(&what)) {
      *result = CampaignEnded{etcd.campaign(index_, campaign->lease)};
    } else if (const auto* drop = std::get_if<DropLease>(&what)) {
      etcd.revoke(drop->lease);
      *result = LeaseDropped{};
    } else {
      *result = LeaderSeen{etcd.leader(), etcd.leading_lease(), "another"};
    }
  };
  all_.etcd.call(index_, process, op, [this, result](bool came) {
    const LeadAnswer answer = came ? *result : LeadAnswer{NoAnswer{"etcd does not answer"}};
    if (const auto* seen = std::get_if<LeaderSeen>(&answer); seen != nullptr && token == 0) {
      follows = seen->token == 0 ? std::nullopt : std::optional(all_.etcd.leading_server());
    }
    answered(answer);
  });
}

/// Whoever waits for the next event may wait longer than the lease.
void ControlServer::watch_tenure() {
  process.post(std::max(Duration{0}, leading_->until() - process.machine().clock()) + 1ms, [this, mine = token] {
    if (token == 0 || token != mine) { return; }
    if (leads()) { return watch_tenure(); }
    stop_deciding("its lease could not be renewed in time");
  });
}

/// From now on no former leader writes: what is read is the last word.
void ControlServer::read_state() {
  const auto state = std::make_shared<EtcdModel::State>();
  on_store([this, state] { *state = all_.etcd.state; },
           [this, state, mine = token](bool came) {
             if (token != mine) { return; }
             if (came) { return take_lead(*state); }
             leading_->give_up(mine, "the state cannot be read");
           });
}

void ControlServer::take_lead(const EtcdModel::State& state) {
  if (!leads()) { return; }
  if (!first_read_) { first_read_ = state; }
  const auto& read = world.has(Bug::StaleRecord) ? *first_read_ : state;
  book_ = read.ownerships;
  world.leading = index_;
  world.standby_heard(false);
  std::vector<Ownership> stored;
  for (const auto& [role, one] : read.ownerships) { stored.push_back(one.ownership); }
  begin_deciding(stored, world.has(Bug::ForgetProtection) ? std::set<RoleId>{} : read.is_protected, read.hold_outs);
  if (read.policy && group && process.alive()) { step(OperatorPolicy{*read.policy}); }
}

void ControlServer::stop_deciding(const std::string& why) {
  if (token == 0) { return; }
  world.trace(name_, "leads no more: " + why);
  leading_->give_up(token, why);
  token = 0;
  follows.reset();
  ++reign_;
  unwritten_.clear();
  ++timers;
  group.reset();
  queue.clear();
  store_jobs_.clear();
  blade_of.clear();
  session_of.clear();
  close_all();
}

// --- the store ---

void ControlServer::on_store(Action op, std::function<void(bool)> done) {
  on_store_when_it_begins([op = std::move(op)] { return op; }, std::move(done));
}

void ControlServer::on_store_when_it_begins(std::function<Action()> begin, std::function<void(bool)> done, bool first) {
  store_jobs_.insert(first ? store_jobs_.begin() : store_jobs_.end(), StoreJob{std::move(begin), std::move(done)});
  next_store_job();
}

void ControlServer::next_store_job() {
  if (store_busy_ || store_jobs_.empty() || !leads()) { return; }
  store_busy_ = true;
  auto job = std::move(store_jobs_.front());
  store_jobs_.pop_front();
  all_.etcd.call(index_, process, job.begin(), [this, mine = reign_, done = std::move(job.done)](bool came) {
    store_busy_ = false;
    if (mine == reign_) { done(came); }
    if (process.alive()) { next_store_job(); }
  });
}

void ControlServer::persist_in_etcd(const Persist& effect) {
  struct Result {
    std::optional<Status> refused;  ///< nothing was sent
    bool done = false;
    std::int64_t revision = 0;
    std::uint64_t leader = 0;
    std::optional<StoredOwnership> found;
  };
  const auto result = std::make_shared<Result>();
  const auto by = token;
  const auto apply = [this, effect, result, by](std::int64_t known) {
    auto& etcd = all_.etcd;
    auto& stored = etcd.state.ownerships[effect.next.role];
    if (etcd.fenced_in(by, "an ownership") && stored.revision == known) {
      written(stored.ownership, effect.next);
      stored = {effect.next, etcd.next_revision(), by};
      result->done = true;
      result->revision = stored.revision;
      return;
    }
    result->leader = etcd.leader();
    if (stored.revision != 0) { result->found = stored; }
  };
  // It is compared with what is known when it is sent: it may be applied after the one that is tried next.
  const auto begin = [this, apply, role = effect.next.role]() -> Action {
    return [apply, known = book_[role].revision] { apply(known); };
  };
  on_store_when_it_begins(begin, [this, effect, result, by](bool came) {
    if (!group) { return; }
    const auto& next = effect.next;
    if (!came) { return step(StoreFailed{next.role, next.highest(), false, "etcd does not answer"}); }
    if (result->done) {
      book_[next.role] = {next, result->revision, by};
      return step(StoreDone{next.role, next.highest()});
    }
    if (result->found) { book_[next.role] = *result->found; }
    const auto judged = judge_refusal(next.role, next, by, result->leader, result->found);
    if (judged) { return step(StoreDone{next.role, next.highest()}); }
    if (judged.error().code == Errc::Expired) { return stop_deciding(judged.error().message); }
    step(StoreFailed{next.role, next.highest(), true, judged.error().message});
  });
}

}  // namespace understudy::sim
