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
      patience_(patience),
      callbacks_(std::move(callbacks)),
      etcd_(std::move(settings)),
      thread_([this] { run(); }) {}

Election::~Election() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  tenure_.end(token_);
  drop_lease();
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
  std::uint64_t given_up = 0;
  std::string why;
  {
    const std::lock_guard lock(mutex_);
    given_up = std::exchange(given_up_, 0);
    why = given_up_why_;
  }
  const Instant sent = boot_now();
  if (token_ != 0 && token_ == given_up) {
    lose(why);
  } else if (token_ != 0 && !tenure_.holds(sent, token_)) {
    lose("its lease could not be renewed in time: " + (view_.problem.empty() ? "it was stopped" : view_.problem));
  }
  auto done = keep_lease();
  if (done) { done = look(); }
  if (done) { done = settle_leadership(sent); }
  tell(done ? "" : done.error().message);
}

/// Ours, or a new one. With it the others see that we are there.
Status Election::keep_lease() {
  if (lease_ != 0) {
    const auto kept = etcd_.call("lease/keepalive", {{"ID", std::to_string(lease_)}});
    if (!kept && kept.error().code != Errc::NotFound) { return kept.error(); }
    const auto* result = kept ? kept->as_object().if_contains("result") : nullptr;
    if (result != nullptr && etcd::number_of(*result, "TTL") > 0) { return {}; }
    lease_ = 0;
    if (token_ != 0) { lose("its lease has run out in etcd"); }
  }
  const auto granted = etcd_.call("lease/grant", {{"TTL", std::to_string(etcd_.settings().lease.count())}});
  if (!granted) { return granted.error(); }
  const auto lease = etcd::number_of(*granted, "ID");
  if (lease == 0) { return failure("etcd grants no lease"); }
  const auto name = etcd_.settings().at(kServer + address_);
  const auto told = etcd_.call("kv/txn", etcd::transaction({}, {etcd::put(name, "{}", lease)}, {}));
  if (!told) { return told.error(); }
  lease_ = lease;
  return {};
}

Status Election::look() {
  const auto answer = etcd_.call("kv/range", etcd::range_all(etcd_.settings().at("who/")));
  if (!answer) { return answer.error(); }
  const auto found = etcd::key_values(*answer);
  if (!found) { return found.error(); }
  ElectionView seen;
  leader_token_ = 0;
  const auto leader = etcd_.settings().at(kLeader);
  const auto servers = etcd_.settings().at(kServer);
  for (const auto& one : *found) {
    if (one.key == leader) {
      leader_token_ = static_cast<std::uint64_t>(one.create_revision);
      read_leader(one.value, seen);
    } else if (one.key.starts_with(servers)) {
      seen.there.insert(one.key.substr(servers.size()));
    }
  }
  seen.problem = view_.problem;
  view_ = std::move(seen);
  return {};
}

Status Election::settle_leadership(Instant sent) {
  if (leader_token_ != 0) {
    vacant_since_.reset();
  } else if (!vacant_since_) {
    vacant_since_ = boot_now();
  }
  if (token_ == 0) {
    const bool may = vacant_since_ && boot_now() - *vacant_since_ >= patience_;
    return may ? campaign(sent) : Status{};
  }
  if (leader_token_ != token_) {
    lose("another control-server leads: " + (view_.leader.empty() ? "the key of ours is gone" : view_.leader));
  } else if (!tenure_.extend(boot_now(), sent + etcd_.settings().lease - kMargin)) {
    lose("its lease could not be renewed in time");
  }
  return {};
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
Status Election::campaign(Instant sent) {
  const auto state_id = find_state_id();
  if (!state_id) { return state_id.error(); }
  const auto key = etcd_.settings().at(kLeader);
  const auto since = wall_now_ns();
  const auto value = json::serialize(json::object{{"address", address_}, {"since_ns", since}});
  const auto answer =
      etcd_.call("kv/txn", etcd::transaction({etcd::equals(key, "CREATE", 0)}, {etcd::put(key, value, lease_)},
                                             {json::object{{"request_range", etcd::range_one(key)}}}));
  if (!answer) { return answer.error(); }
  std::uint64_t token = 0;
  if (etcd::succeeded(*answer)) {
    token = static_cast<std::uint64_t>(etcd::revision_of(*answer));
  } else {
    const auto found = etcd::key_values(*answer, 0);
    if (!found) { return found.error(); }
    if (found->empty() || found->front().lease != lease_) { return {}; }  // somebody else was quicker
    token = static_cast<std::uint64_t>(found->front().create_revision);
  }
  token_ = token;
  view_.leader = address_;
  view_.since_ns = since;
  tenure_.begin(token, sent + etcd_.settings().lease - kMargin);
  post([this, leadership = Leadership{*state_id, token}] { callbacks_.on_lead(leadership); });
  return {};
}

void Election::lose(const std::string& why) {
  tenure_.end(std::exchange(token_, 0));
  if (view_.leader == address_) { view_.leader.clear(); }
  post([this, why] { callbacks_.on_lost(why); });
  drop_lease();
}

/// With it goes the key, where it is still ours: the next leadership, maybe ours, has a token of its own.
void Election::drop_lease() {
  if (lease_ == 0) { return; }
  const auto gone = etcd_.call("lease/revoke", {{"ID", std::to_string(lease_)}});
  if (!gone && gone.error().code != Errc::NotFound) {
    log::warn("who leads was not given back, it ends by itself: {}", gone.error().message);
  }
  lease_ = 0;
}

void Election::tell(const std::string& problem) {
  if (!problem.empty() && token_ == 0) {
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
