// SPDX-License-Identifier: Apache-2.0
#include "etcd_model.hpp"

#include <memory>

namespace understudy::sim {

namespace {
constexpr Duration lease_time = 4s;
}

void EtcdModel::call(unsigned server, Process& process, Action op, std::function<void(bool)> done) {
  auto& random = world_.random;
  const auto answered = std::make_shared<bool>(false);
  process.post(random.between(700ms, 2100ms), [answered, done] {
    if (!std::exchange(*answered, true)) { done(false); }
  });
  const auto lost = [this, server](double chance) {
    if (world_.store_cut[server]) {
      world_.bite(Fault::StorePartition);
      return true;
    }
    const bool bites = world_.troubles.store_loses && world_.random.chance(chance);
    if (bites) { world_.bite(Fault::StoreLoses); }
    return bites;
  };
  const auto takes = [this] {
    const bool late = world_.troubles.store_late && world_.random.chance(0.4);
    if (late) { world_.bite(Fault::StoreLate); }
    return late ? world_.random.between(100ms, 8s) : world_.random.between(500us, 4ms);
  };
  if (lost(0.15)) { return; }
  world_.scheduler.after(takes(), [this, lost, takes, &process, op = std::move(op), done = std::move(done), answered] {
    op();
    if (lost(0.4)) { return; }
    process.post(takes(), [answered, done] {
      if (!std::exchange(*answered, true)) { done(true); }
    });
  });
}

void EtcdModel::expire() {
  std::erase_if(leases_, [now = world_.scheduler.now()](const auto& one) { return one.second <= now; });
  if (token_ != 0 && !leases_.contains(leading_lease_)) { token_ = 0; }
}

std::int64_t EtcdModel::grant() {
  leases_[++leases_given_] = world_.scheduler.now() + lease_time;
  return leases_given_;
}

bool EtcdModel::keep(std::int64_t lease) {
  expire();
  const auto found = leases_.find(lease);
  if (found == leases_.end()) { return false; }
  found->second = std::max(found->second, world_.scheduler.now() + lease_time + world_.random.between(0s, 1s));
  return true;
}

void EtcdModel::revoke(std::int64_t lease) {
  leases_.erase(lease);
  expire();
}

std::uint64_t EtcdModel::leader() {
  expire();
  return token_;
}

std::uint64_t EtcdModel::campaign(unsigned server, std::int64_t lease) {
  expire();
  if (token_ != 0) { return leading_lease_ == lease ? token_ : 0; }
  if (!leases_.contains(lease)) { return 0; }
  token_ = static_cast<std::uint64_t>(++revision_);
  leading_lease_ = lease;
  leading_server_ = server;
  world_.trace("etcd", "server " + std::to_string(server + 1) + " leads under token " + std::to_string(token_));
  return token_;
}

std::pair<bool, std::int64_t> EtcdModel::latest(std::uint64_t token, const std::string& key, std::int64_t known,
                                                const char* what) {
  auto& revision = state.revisions[key];
  if (!fenced_in(token, what) || revision != known) { return {false, revision}; }
  revision = ++revision_;
  return {true, revision};
}

bool EtcdModel::fenced_in(std::uint64_t token, const char* what) {
  expire();
  if (token == token_) { return true; }
  if (!world_.has(Bug::WriteUnfenced)) { return false; }
  world_.violate(Invariant::OneLeader, std::string("a former leader, under token ") + std::to_string(token) +
                                           ", has written " + what + "; token " + std::to_string(token_) + " leads");
  return true;
}

}  // namespace understudy::sim
