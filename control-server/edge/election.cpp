// SPDX-License-Identifier: Apache-2.0
#include "edge/election.hpp"

#include <boost/asio/post.hpp>

#include "edge/clock.hpp"
#include "edge/etcd_values.hpp"
#include "edge/state_store.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace understudy::control {

namespace json = boost::json;

namespace {

constexpr const char* kLeader = "who/leader";
constexpr const char* kServer = "who/server/";
constexpr const char* kStateId = "state_id";

/// What a leader wrote of itself; without meaning where it is none of ours.
void read_leader(const std::string& value, ElectionView& view) {
  boost::system::error_code wrong;
  const auto parsed = json::parse(value, wrong);
  const auto* object = wrong ? nullptr : parsed.if_object();
  if (object == nullptr) { return; }
  const auto* address = object->if_contains("address");
  const auto* since = object->if_contains("since_ns");
  if (address != nullptr && address->is_string()) { view.leader = std::string(address->as_string()); }
  if (since != nullptr && since->is_int64()) { view.since_ns = since->as_int64(); }
}

}  // namespace

void Tenure::begin(std::uint64_t token, Instant until) {
  const std::lock_guard lock(mutex_);
  token_ = token;
  until_ = until;
}
bool Tenure::extend(Instant now, Instant until) {
  const std::lock_guard lock(mutex_);
  if (token_ == 0 || now >= until_) { return false; }
  until_ = std::max(until_, until);
  return true;
}
void Tenure::end() {
  const std::lock_guard lock(mutex_);
  token_ = 0;
}
void Tenure::end(std::uint64_t token) {
  const std::lock_guard lock(mutex_);
  if (token_ == token) { token_ = 0; }
}
bool Tenure::holds(Instant now, std::uint64_t token) const {
  const std::lock_guard lock(mutex_);
  return token_ != 0 && token_ == token && now < until_;
}
Instant Tenure::until() const {
  const std::lock_guard lock(mutex_);
  return until_;
}

Election::Election(boost::asio::io_context& io, EtcdSettings settings, std::string address,
                   std::chrono::milliseconds patience, Callbacks callbacks)
    : io_(io),
      address_(std::move(address)),
      callbacks_(std::move(callbacks)),
      etcd_(std::move(settings)),
      leading_({etcd_.settings().lease, kMargin, patience}),
      thread_([this] { run(); }) {}

Election::~Election() { resign(); }

void Election::resign() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (!thread_.joinable()) { return; }
  thread_.join();
  tenure_.end(leading_.token());
  if (leading_.lease() != 0) { (void)perform(DropLease{leading_.lease()}); }
}

bool Election::holds(std::uint64_t token) const { return tenure_.holds(boot_now(), token); }

void Election::give_up(std::uint64_t token, const std::string& why) {
  tenure_.end(token);
  {
    const std::lock_guard lock(mutex_);
    given_up_ = token;
    given_up_why_ = why;
  }
  wake_.notify_one();
}

template <class Action>
void Election::post(Action action) {
  boost::asio::post(io_, [alive = std::weak_ptr(alive_), action = std::move(action)] {
    if (!alive.expired()) { action(); }
  });
}

void Election::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    round();
    lock.lock();
    wake_.wait_for(lock, kPoll, [this] { return stopping_ || given_up_ != 0; });
  }
}

void Election::round() {
  bool deaf = false;
  {
    const std::lock_guard lock(mutex_);
    deaf = ++unheard_ > kUnheardMax;
    const auto given_up = std::exchange(given_up_, 0);
    if (given_up != 0) { leading_.give_up(given_up, given_up_why_); }
  }
  if (deaf) { return stand_back(); }
  post([this] {
    const std::lock_guard lock(mutex_);
    unheard_ = 0;
  });
  auto step = leading_.begin(boot_now());
  follow(step);
  while (step.ask) {
    const auto answer = std::visit([this](const auto& one) { return perform(one); }, *step.ask);
    step = leading_.answered(boot_now(), answer);
    follow(step);
  }
  tell(leading_.problem());
}

void Election::stand_back() {
  if (leading_.token() == 0) { return; }
  log::error("the main loop stands still: the lead is given back");
  leading_.give_up(leading_.token(), "its main loop stood still");
  const auto step = leading_.begin(boot_now());
  follow(step);
  if (!step.ask) { return; }
  (void)leading_.answered(boot_now(), std::visit([this](const auto& one) { return perform(one); }, *step.ask));
}

/// What a step means for those who decide.
void Election::follow(const Leading::Step& step) {
  if (step.lost) {
    tenure_.end();
    if (view_.leader == address_) { view_.leader.clear(); }
    post([this, why = *step.lost] { callbacks_.on_lost(why); });
  }
  if (step.won != 0) {
    view_.leader = address_;
    view_.since_ns = campaign_since_ns_;  // also where its answer was lost
    tenure_.begin(step.won, leading_.until());
    post([this, leadership = Leadership{state_id_, step.won}] { callbacks_.on_lead(leadership); });
  }
  // Who has given it up meanwhile, on the loop, is told by the next round.
  if (step.extended) { (void)tenure_.extend(boot_now(), leading_.until()); }
}

LeadAnswer Election::perform(const KeepLease& ask) {
  const auto kept = etcd_.call("lease/keepalive", {{"ID", std::to_string(ask.lease)}});
  if (!kept && kept.error().code != Errc::NotFound) { return NoAnswer{kept.error().message}; }
  const auto* result = kept ? kept->as_object().if_contains("result") : nullptr;
  return LeaseKept{result != nullptr && etcd::number_of(*result, "TTL") > 0};
}

/// With it the others see that we are there.
LeadAnswer Election::perform(const GrantLease& /*ask*/) {
  const auto granted = etcd_.call("lease/grant", {{"TTL", std::to_string(etcd_.settings().lease.count())}});
  if (!granted) { return NoAnswer{granted.error().message}; }
  const auto lease = etcd::number_of(*granted, "ID");
  if (lease == 0) { return NoAnswer{"etcd grants no lease"}; }
  const auto name = etcd_.settings().at(kServer + address_);
  const auto told = etcd_.call("kv/txn", etcd::transaction({}, {etcd::put(name, "{}", lease)}, {}));
  if (!told) {
    (void)perform(DropLease{lease});  // nobody else knows its id; what remains of it ends by itself
    return NoAnswer{told.error().message};
  }
  return LeaseGranted{lease};
}

LeadAnswer Election::perform(const LookWhoLeads& /*ask*/) {
  const auto answer = etcd_.call("kv/range", etcd::range_all(etcd_.settings().at("who/")));
  if (!answer) { return NoAnswer{answer.error().message}; }
  const auto found = etcd::key_values(*answer);
  if (!found) { return NoAnswer{found.error().message}; }
  ElectionView seen;
  LeaderSeen leader;
  const auto key = etcd_.settings().at(kLeader);
  const auto servers = etcd_.settings().at(kServer);
  for (const auto& one : *found) {
    if (one.key == key) {
      leader.token = static_cast<std::uint64_t>(one.create_revision);
      leader.lease = one.lease;
      read_leader(one.value, seen);
    } else if (one.key.starts_with(servers)) {
      seen.there.insert(one.key.substr(servers.size()));
    }
  }
  seen.problem = view_.problem;
  leader.who = seen.leader;
  view_ = std::move(seen);
  return leader;
}

Result<std::string> Election::find_state_id() {
  const auto key = etcd_.settings().at(kStateId);
  const auto answer =
      etcd_.call("kv/txn", etcd::transaction({etcd::equals(key, "CREATE", 0)}, {etcd::put(key, make_state_id())}, {}));
  if (!answer) { return answer.error(); }
  const auto read = etcd_.call("kv/range", etcd::range_one(key));
  if (!read) { return read.error(); }
  const auto found = etcd::key_values(*read);
  if (!found) { return found.error(); }
  if (found->empty()) { return failure("the state in etcd has lost its identity this moment"); }
  return found->front().value;
}

/// Created by us, now or at an endpoint whose answer did not come.
LeadAnswer Election::perform(const Campaign& ask) {
  const auto state_id = find_state_id();
  if (!state_id) { return NoAnswer{state_id.error().message}; }
  state_id_ = state_id.value();
  const auto key = etcd_.settings().at(kLeader);
  campaign_since_ns_ = wall_now_ns();
  const auto value = json::serialize(json::object{{"address", address_}, {"since_ns", campaign_since_ns_}});
  const auto answer =
      etcd_.call("kv/txn", etcd::transaction({etcd::equals(key, "CREATE", 0)}, {etcd::put(key, value, ask.lease)},
                                             {json::object{{"request_range", etcd::range_one(key)}}}));
  if (!answer) { return NoAnswer{answer.error().message}; }
  if (etcd::succeeded(*answer)) { return CampaignEnded{static_cast<std::uint64_t>(etcd::revision_of(*answer))}; }
  const auto found = etcd::key_values(*answer, 0);
  if (!found) { return NoAnswer{found.error().message}; }
  if (found->empty() || found->front().lease != ask.lease) { return CampaignEnded{}; }
  return CampaignEnded{static_cast<std::uint64_t>(found->front().create_revision)};
}

LeadAnswer Election::perform(const DropLease& ask) {
  const auto gone = etcd_.call("lease/revoke", {{"ID", std::to_string(ask.lease)}});
  if (!gone && gone.error().code != Errc::NotFound) {
    log::warn("who leads was not given back, it ends by itself: {}", gone.error().message);
    return NoAnswer{gone.error().message};
  }
  return LeaseDropped{};
}

void Election::tell(const std::string& problem) {
  if (!problem.empty() && leading_.token() == 0) {
    view_.leader.clear();  // nobody is known to
    view_.there.clear();
  }
  if (view_.problem.empty() != problem.empty()) {
    if (problem.empty()) {
      log::info("etcd answers again");
    } else {
      log::error("{}: no decision can be stored, so nothing fails over automatically; roles serve on", problem);
    }
  }
  view_.problem = problem;
  post([this, view = view_] { callbacks_.on_view(view); });
}

}  // namespace understudy::control
