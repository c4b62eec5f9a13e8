// SPDX-License-Identifier: Apache-2.0
// What goes on by itself in a mirror (see agent.hpp): a restarted agent takes up the service of its guest, an ended
// application is started again, and after a full snapshot the kernel forgets what the active no longer has.
#include <algorithm>

#include "edge/agent.hpp"
#include "understudy/common/log.hpp"
#include "understudy/net/collector.hpp"

namespace understudy::guest {

namespace {
constexpr auto restore_pause = std::chrono::seconds(1);
/// An application that ended less than this ago is started after the pause only.
constexpr auto restart_window = std::chrono::seconds(10);
constexpr auto restart_pause = std::chrono::seconds(1);

/// Collects the keys of what the kernel has and the store has not.
class SurplusFinder final : public net::ChangeSink {
 public:
  struct Found {
    shm::TableIndex table;
    std::vector<std::byte> key;
  };
  SurplusFinder(const shm::Store& store, const link::RoleSpec& spec) : store_(store), spec_(spec) {}
  void route(const net::RouteKey& key, const net::RouteValue* value) override {
    // The role's configured routes are this place's own, whatever the active has told so far.
    const bool configured = std::any_of(spec_.routes.begin(), spec_.routes.end(), [&](const link::RouteSpec& route) {
      return route.destination.length == key.prefix_length && route.destination.address.family == key.family &&
             route.destination.address.bytes == key.destination;
    });
    if (value != nullptr && !configured) { check<net::RouteValue>(net::RouteTable, shm::as_bytes_of(key)); }
  }
  void neighbor(const net::NeighborKey& key, const net::NeighborValue* value) override {
    if (value != nullptr) { check<net::NeighborValue>(net::NeighborTable, shm::as_bytes_of(key)); }
  }
  void flow(const net::FlowChange& change) override {
    if (!change.gone) { check<net::FlowValue>(net::FlowTable, shm::as_bytes_of(change.key)); }
  }
  [[nodiscard]] const std::vector<Found>& found() const { return found_; }

 private:
  template <class Value>
  void check(shm::TableIndex table, shm::Bytes key) {
    Value value{};
    const auto known = store_.get(table, key, std::as_writable_bytes(std::span<Value, 1>(&value, 1)));
    if (!known && known.error().code == Errc::NotFound) { found_.push_back({table, {key.begin(), key.end()}}); }
  }
  const shm::Store& store_;
  const link::RoleSpec& spec_;
  std::vector<Found> found_;
};

}  // namespace

/// The guest's kernel and application have served on meanwhile, so nothing is taken away when this fails: it is tried
/// again. No grace period: it belongs to a take-over.
void Agent::restore() {
  auto writing = restore_writing();
  if (writing) {
    place_->start_application([this](const Status& started) {
      if (!started) {
        return alarm("the application after the agent's restart: " + started.error().message, "application");
      }
      place_->activate(core_.term(), [this](const Status& active) {
        if (!active) {
          return alarm("the application after the agent's restart: " + active.error().message, "application");
        }
        alarm("", "application");
        handle(StepDone{Step::Restore});
      });
    });
    return;
  }
  alarm("the restarted guest-agent could not go on yet: " + writing.error().message);
  restore_timer_.expires_after(restore_pause);
  restore_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) { restore(); }
  });
}

Status Agent::restore_writing() {
  if (!place_) {
    if (auto made = make_place(false); !made) { return made; }
  }
  return place_->begin_writing(core_.term());
}

void Agent::restart_application(Term term) {
  const auto now = std::chrono::steady_clock::now();
  const bool again = application_ended_ && now - *application_ended_ < restart_window;
  application_ended_ = now;
  restart_timer_.expires_after(again ? restart_pause : std::chrono::seconds(0));
  restart_timer_.async_wait([this, term](const boost::system::error_code& error) {
    if (error || !place_) { return; }
    place_->start_application([this, term](const Status& started) {
      if (!started) {
        alarm("the application cannot be started, trying again: " + started.error().message, "application");
        return restart_application(term);
      }
      // The store is good at any instant: the new process goes on under the same term.
      if (core_.activity() != Activity::Serving || core_.term() != term) { return alarm("", "application"); }
      place_->activate(term, [this](const Status& active) {
        if (!active) {
          return alarm("the application does not become active: " + active.error().message, "application");
        }
        alarm("", "application");
        handle(StepDone{Step::Restore});
      });
    });
  });
}

void Agent::remove_surplus() {
  const auto store = place_->region().store(net::net_store_name);
  auto ports = net::PortMap::resolve(place_->options().ports);
  if (!store || !ports || !installer_) { return alarm("after a snapshot the kernel could not be compared"); }
  // What was refused before this snapshot began was of a former copy.
  refusals_before_ = refusals_at_sync_;
  refusals_told_ = 0;
  if (installer_->report().refused == refusals_before_) { alarm("", "kernel"); }
  // What waits to be installed may be of the former time too: it must be seen below, not come after.
  if (auto flushed = installer_->flush(); !flushed) { return alarm("installing: " + flushed.error().message); }
  net::CollectorOptions options;
  options.flows = place_->flow_filter();
  auto looking = net::Collector::open(*std::move(ports), options);
  if (!looking) { return alarm(looking.error().message); }
  SurplusFinder surplus(store.value(), mirror_.spec);
  if (auto dumped = looking->dump(surplus); !dumped) { return alarm(dumped.error().message); }
  std::vector<shm::JournalEntry> erasures;
  for (const auto& found : surplus.found()) {
    shm::JournalEntry entry;
    entry.table = found.table;
    entry.op = shm::JournalEntry::Op::Erase;
    entry.key = found.key;
    erasures.push_back(entry);
  }
  on_applied(net::net_store_name, erasures);
  if (!erasures.empty()) { log::info("{} records of a former time left this kernel", erasures.size()); }
}

}  // namespace understudy::guest
