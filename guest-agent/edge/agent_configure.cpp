// SPDX-License-Identifier: Apache-2.0
// The configuration of a mirror (see agent.hpp): NICs by their MACs, place, observers, replication. A repeated one
// keeps what is there.
#include <algorithm>
#include <boost/asio/post.hpp>

#include "edge/agent.hpp"
#include "understudy/common/log.hpp"
#include "understudy/link/bfd_vote.hpp"

namespace understudy::guest {

namespace {
constexpr const char* run_dir = "/run/understudy";

const net::LinkState* with_mac(const std::vector<net::LinkState>& links, const MacAddress& mac) {
  const auto found = std::find_if(links.begin(), links.end(), [&](const auto& link) { return link.mac == mac; });
  return found != links.end() ? &*found : nullptr;
}
}  // namespace

void Agent::configure(Done done) {
  if (auto held = durable_.hold(mirror_); !held) {
    done(held);
    return;
  }
  if (!place_) {
    if (auto made = make_place(true); !made) {
      done(made);
      return;
    }
  }
  if (auto watching = watch_active(); !watching) {
    done(watching);
    return;
  }
  place_->start_application([this, done = std::move(done)](const Status& ready) {
    if (!ready) {
      done(ready);
      return;
    }
    done(receive());
  });
}

Status Agent::configure_maintenance(net::Links& links, const std::vector<net::LinkState>& found) {
  const auto* nic = with_mac(found, mirror_.spec.mirror_mac);
  if (nic == nullptr) { return failure("no NIC with the maintenance MAC " + mirror_.spec.mirror_mac.to_string()); }
  if (auto done = links.set_quiet(nic->name); !done) { return done; }
  if (auto done = links.add_address(nic->name, mirror_.spec.mirror_address); !done) { return done; }
  return links.set_up(nic->name, true);
}

Result<place::PlaceOptions> Agent::find_ports() {
  auto links = net::Links::open();
  if (!links) { return links.error(); }
  auto found = links->list();
  if (!found) { return found.error(); }
  if (auto done = configure_maintenance(*links, *found); !done) { return done.error(); }
  if (auto done = place::exempt_from_tracking(mirror_.spec.mirror_address.address); !done) { return done.error(); }
  place::PlaceOptions options;
  for (const auto& port : mirror_.spec.ports) {
    const auto* nic = with_mac(*found, port.mac);
    if (nic == nullptr) { return failure("no NIC with the MAC " + port.mac.to_string() + " of port " + port.name); }
    options.ports.emplace_back(port.name, nic->name);
  }
  options.run_dir = run_dir;
  options.region_path = memory_->path;
  options.is_device = true;
  options.excluded = {mirror_.spec.mirror_address};
  return options;
}

Status Agent::make_place(bool with_grace) {
  if (!memory_) { return memory_.error(); }
  auto options = find_ports();
  if (!options) { return options.error(); }
  if (memory_->bytes != mirror_.spec.region_bytes) {
    return failure(describe(*memory_) + " has " + std::to_string(memory_->bytes) + " bytes, the role's region " +
                   std::to_string(mirror_.spec.region_bytes));
  }
  place::RolePlaceCallbacks callbacks;
  callbacks.on_application_exit = [this](const std::string& how) { handle(ApplicationEnded{how}); };
  callbacks.on_alarm = [this](const std::string& text, const std::string& topic) { alarm(text, topic); };
  auto place = std::make_unique<place::RolePlace>(io_, mirror_.spec, *options, callbacks);
  if (auto configured = place->configure(); !configured) { return configured; }
  if (auto opened = place->open_region(); !opened) { return opened; }
  auto ports = net::PortMap::resolve(options->ports);
  if (!ports) { return ports.error(); }
  net::InstallerOptions installing;
  installing.flows.excluded = options->excluded;
  auto installer = net::Installer::open(std::move(ports).value(), installing);
  if (!installer) { return installer.error(); }
  installer_.emplace(std::move(installer).value());
  auto quiesce = std::make_unique<Quiesce>(io_, *place);
  if (auto listening = quiesce->open(); !listening) { return listening; }
  place_ = std::move(place);
  quiesce_ = std::move(quiesce);
  if (!with_grace) { return {}; }
  net::GraceOptions grace;
  for (const auto& port : mirror_.spec.ports) {
    if (port.name != mirror_.spec.ports.front().name) { continue; }
    for (const auto& address : port.addresses) {
      if (address.address.is_v4()) { grace.nat_addresses.push_back(address.address); }
    }
  }
  auto began = net::GracePeriod::begin(grace);  // early: the gate is closed, and the activation need not wait for it
  if (!began) { return began.error(); }
  grace_.emplace(std::move(began).value());
  return {};
}

Status Agent::watch_active() {
  if (!observer_) {
    link::bfd::Observer::Options options;
    options.service.local_addresses = {mirror_.spec.mirror_address.address};
    options.service.sequence_file = std::string(run_dir) + "/guest-agent.bfd";
    auto observer = link::bfd::Observer::start(
        io_, options, [this](const IpAddress&, link::Vote vote) { handle(PeerChanged{vote}); });
    if (!observer) { return observer.error(); }
    observer_ = std::move(observer).value();
  }
  const Watched wanted{mirror_.active_address, mirror_.bfd, bfd_key_};
  if (watched_ == wanted) { return {}; }
  if (watched_) { (void)observer_->remove_peer(watched_->active); }
  watched_.reset();
  link::bfd::PeerOptions peer;
  peer.interval = std::chrono::milliseconds(mirror_.bfd.interval_ms);
  peer.multiplier = static_cast<std::uint8_t>(std::clamp<std::uint32_t>(mirror_.bfd.multiplier, 1, 255));
  peer.authentication = {mirror_.bfd.authentication, mirror_.bfd.key_id, bfd_key_};
  auto added = observer_->add_peer(mirror_.active_address, peer);
  if (added) { watched_ = wanted; }
  return added;
}

/// The key stays in memory: a restarted agent is configured again. Another key or interval for the same mirror is no
/// other configuration to the core.
void Agent::on_configure(const link::guest::Configure& order) {
  bfd_key_ = order.bfd_key;
  handle(ConfigureOrder{order.mirror});
  if (!observer_ || core_.activity() != Activity::Mirroring) { return; }
  mirror_.bfd = order.mirror.bfd;
  if (const auto watching = watch_active(); !watching) { alarm("BFD: " + watching.error().message); }
}

void Agent::on_certify(const link::guest::Certify& order) {
  certify_ = order;
  if (!receiver_ || core_.activity() != Activity::Mirroring) { return; }
  if (auto renewed = receive(); !renewed) { alarm("the renewed certificate: " + renewed.error().message); }
}

Status Agent::receive() {
  if (!certify_) { return failure("the host has not said how to speak to the active"); }
  drained_ = false;
  make_receiver();
  if (copy_was_handed_over()) { return hold_copy(); }
  link::replication::ReceiverTarget target;
  target.active = mirror_.active_address;
  target.term = mirror_.term;
  target.blade = mirror_.active;
  target.credentials = certify_->credentials;
  target.copy_was_synced = durable_.whole() == mirror_.term;
  if (auto configured = receiver_->configure(target); !configured) { return configured; }
  if (!target.copy_was_synced || !receiver_->status().ready) { return {}; }
  if (receiver_->status().phase != link::replication::ReceiverPhase::Connecting) { return {}; }
  // What a former agent had applied and not yet installed is in no queue of this one.
  if (auto installed = install_copy(); !installed) { return installed; }
  handle(SyncChanged{SyncPhase::Held, "the copy of a former guest-agent"});
  return {};
}

void Agent::make_receiver() {
  if (receiver_) { return; }
  link::replication::ReceiverOptions options;
  options.role = mirror_.spec.id;
  link::replication::ReceiverCallbacks callbacks;
  callbacks.on_phase = [this](link::replication::ReceiverPhase phase, const std::string& detail) {
    using link::replication::ReceiverPhase;
    switch (phase) {
      case ReceiverPhase::Connecting:
        handle(SyncChanged{SyncPhase::Connecting, detail});
        break;
      case ReceiverPhase::Syncing:
        refusals_at_sync_ = installer_ ? installer_->report().refused : 0;
        handle(SyncChanged{SyncPhase::Syncing, detail});
        break;
      case ReceiverPhase::Synced:
        remember_whole();
        handle(SyncChanged{SyncPhase::Synced, detail});
        break;
      case ReceiverPhase::Lost:
        handle(SyncChanged{SyncPhase::Lost, detail});
        break;
      case ReceiverPhase::Drained:
        break;
    }
  };
  callbacks.on_applied = [this](const std::string& store, std::span<const shm::JournalEntry> entries) {
    on_applied(store, entries);
  };
  callbacks.applied_of = net::net_store_name;
  callbacks.on_snapshot_end = [this](const std::string& store, bool full) {
    if (store == net::net_store_name && full) { remove_surplus(); }
  };
  callbacks.on_grant_asked = [this](Term term, std::uint64_t nonce) { handle(GrantAsked{term, nonce}); };
  receiver_ = std::make_unique<link::replication::ReplicationReceiver>(io_, options, place_->region(), callbacks);
}

/// A former agent's takeover got past its handover and failed. The region has a newer writer than the active that this
/// mirror follows, so nothing more can be received under that one's term; the copy is whole as it was then.
bool Agent::copy_was_handed_over() const {
  const auto tried = durable_.tried();
  if (!tried || *tried <= mirror_.term || durable_.whole() != mirror_.term) { return false; }
  const auto stores = place_->region().schema().stores;
  return std::all_of(stores.begin(), stores.end(), [this](const auto& schema) {
    const auto store = place_->region().store(schema.name);
    return store && !store->syncing();
  });
}

Status Agent::hold_copy() {
  if (auto installed = install_copy(); !installed) { return installed; }
  drained_ = true;
  handle(SyncChanged{SyncPhase::Held, "the copy of a former guest-agent, whose takeover failed"});
  return {};
}

Status Agent::install_copy() {
  const auto store = place_->region().store(net::net_store_name);
  if (!store) { return store.error(); }
  return installer_->install_all(store.value());
}

/// A restarted agent knows by it that the copy is whole, also when the active is gone and nobody can sync it again.
void Agent::remember_whole() {
  if (durable_.whole() == mirror_.term) { return; }
  if (auto remembered = durable_.remember_whole(mirror_.term); !remembered) {
    alarm("a restarted guest-agent would not know that the copy is whole: " + remembered.error().message);
  }
}

}  // namespace understudy::guest
