// SPDX-License-Identifier: Apache-2.0
#include "edge/transfer_unit.hpp"

#include <boost/asio/post.hpp>
#include <filesystem>

#include "place/region_schema.hpp"
#include "place/surplus.hpp"
#include "understudy/common/log.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::host {

namespace {
constexpr auto follow_interval = std::chrono::milliseconds(5);
/// After what was not followed: all is installed anew, which may take a moment of the loop.
constexpr auto again_first = std::chrono::milliseconds(50);
constexpr auto again_max = std::chrono::milliseconds(10'000);
constexpr std::size_t causes_max = 16;  ///< whatever a hostile journal brings about
constexpr std::size_t chunk_bytes_max = 256 * 1024;
constexpr int chunks_max = 4096;  ///< of one catch-up: a hostile journal must not keep us for ever

std::string port_name(const link::RoleSpec& spec, const link::PortSpec& port, const char* prefix) {
  return prefix + std::to_string(spec.number) + "-" + port.name;
}
}  // namespace

place::PlaceOptions moved_place(const BladeConfig& config, const link::RoleSpec& spec) {
  place::PlaceOptions options;
  options.namespace_path = config.run_dir + "/" + spec.id.value + ".netns";
  options.run_dir = config.run_dir;
  options.region_path = config.region_path(spec.id);
  for (const auto& port : spec.ports) { options.ports.emplace_back(port.name, port_name(spec, port, "r")); }
  return options;
}

std::vector<std::string> moved_gate_ports(const link::RoleSpec& spec) {
  std::vector<std::string> ports;
  for (const auto& port : spec.ports) { ports.push_back(port_name(spec, port, "h")); }
  return ports;
}

TransferUnit::TransferUnit(boost::asio::io_context& io, const BladeConfig& config, StandbyNetwork& network,
                           link::RoleSpec spec, place::RolePlaceCallbacks callbacks)
    : io_(io),
      config_(config),
      network_(network),
      spec_(std::move(spec)),
      options_(moved_place(config_, spec_)),
      follow_timer_(io),
      callbacks_(std::move(callbacks)) {}

TransferUnit::Attempt TransferUnit::new_attempt() {
  attempt_ = std::make_shared<int>(0);
  return attempt_;
}

void TransferUnit::stop_former_application(const Attempt& attempt, std::function<void()> done) {
  if (place_ || !std::filesystem::exists(config_.run_dir + "/" + spec_.id.value + ".pid")) {
    done();
    return;
  }
  place::RolePlaceCallbacks quiet;
  quiet.on_application_exit = [](const std::string&) {};  // its end is what is wanted
  quiet.on_alarm = callbacks_.on_alarm;
  place_ = std::make_unique<place::RolePlace>(io_, spec_, options_, std::move(quiet));
  // Found running, or not: stopped it is.
  place_->start_application([this, attempt, done = std::move(done)](const Status&) {
    if (attempt.expired()) { return; }
    place_->stop_application([this, attempt, done](const Status& stopped) {
      if (attempt.expired()) { return; }
      if (!stopped) { callbacks_.on_alarm("an application of an earlier try: " + log::describe(stopped.error()), ""); }
      boost::asio::post(io_, [this, attempt, done] {
        if (attempt.expired()) { return; }
        place_.reset();
        done();
      });
    });
  });
}

Status TransferUnit::make_namespace() {
  (void)net::delete_namespace(options_.namespace_path);  // of an earlier try
  if (auto done = net::create_namespace(options_.namespace_path); !done) { return done; }
  auto& links = network_.links();
  for (const auto& port : spec_.ports) {
    const auto outer = port_name(spec_, port, "h");
    const auto inner = port_name(spec_, port, "r");
    (void)links.delete_link(outer);
    auto bridge = network_.bridge_of(port.network);
    if (!bridge) { return bridge.error(); }
    if (auto done = links.create_veth(outer, inner); !done) { return done; }
    if (auto done = links.set_quiet(outer); !done) { return done; }
    if (auto done = links.move_to_namespace(inner, options_.namespace_path); !done) { return done; }
    if (auto done = network_.join(outer, *bridge); !done) { return done; }
  }
  return {};
}

void TransferUnit::prepare(std::function<void(Status)> done) {
  const auto attempt = new_attempt();
  stop_former_application(attempt, [this, attempt, done = std::move(done)] { make_place(attempt, done); });
}

void TransferUnit::make_place(const Attempt& attempt, const std::function<void(Status)>& done) {
  if (auto made = make_namespace(); !made) {
    done(made);
    return;
  }
  place_ = std::make_unique<place::RolePlace>(io_, spec_, options_, callbacks_);
  for (auto step : {place_->configure(), preload()}) {
    if (!step) {
      done(step);
      return;
    }
  }
  following_ = std::make_shared<int>(0);
  causes_told_.clear();
  follow();
  place_->start_application([attempt, done](const Status& ready) {
    if (!attempt.expired()) { done(ready); }
  });
}

Status TransferUnit::preload() {
  const auto path = config_.region_path(spec_.id);
  auto region = place::open_role_region(path, shm::Access::ReadOnly, spec_.region_bytes,
                                        shm::region_offset(path, spec_.region_bytes), spec_);
  if (!region) { return region.error(); }
  auto store = region->store(net::net_store_name);
  if (!store) { return store.error(); }
  region_.emplace(std::move(region).value());
  net_store_.emplace(std::move(store).value());
  auto scope = net::NamespaceScope::enter(options_.namespace_path);
  if (!scope) { return scope.error(); }
  auto ports = net::PortMap::resolve(place_->options().ports);
  if (!ports) { return ports.error(); }
  auto installer = net::Installer::open(std::move(ports).value(), {});
  if (!installer) { return installer.error(); }
  installer_.emplace(std::move(installer).value());
  return install_all();
}

Status TransferUnit::install_all() {
  journal_.emplace(*net_store_, net_store_->committed());  // first the position, then the tables: nothing is missed
  auto installed = installer_->install_all(*net_store_);
  whole_ = installed.ok();
  return installed;
}

/// After anything that was not followed the kernel becomes what the store says, whole. What was erased meanwhile is in
/// no journal any more.
Status TransferUnit::begin_anew() {
  if (auto installed = install_all(); !installed) { return installed; }
  whole_ = false;
  auto scope = net::NamespaceScope::enter(options_.namespace_path);
  if (!scope) { return scope.error(); }
  const auto surplus = place::Surplus::find(*place_, *net_store_);
  if (!surplus) { return surplus.error(); }
  for (const auto& erasure : surplus->erasures()) {
    if (auto done = installer_->apply(erasure); !done) { return done; }
  }
  if (auto done = installer_->flush(); !done) { return done; }
  whole_ = true;
  return {};
}

/// Takes what the journal has. Afterwards the kernel is as the store says, unless this fails.
Status TransferUnit::catch_up() {
  for (int i = 0; i < chunks_max; ++i) {
    auto chunk = journal_->read(chunk_bytes_max);
    if (chunk && chunk->state == shm::JournalReader::State::Nothing) { return installer_->flush(); }
    whole_ = false;  // until it is known that this chunk has been taken, all of it
    if (!chunk) { return chunk.error(); }
    if (chunk->state == shm::JournalReader::State::Lapped) {
      return failure("the journal was written faster than it was followed", Errc::Expired);
    }
    Status applied;
    auto decoded = shm::for_each_entry(chunk->bytes, [&](const shm::JournalEntry& entry) {
      if (auto done = installer_->apply(entry); !done && applied.ok()) { applied = done; }
    });
    if (applied.ok()) { applied = installer_->flush(); }
    if (!decoded) { return decoded; }
    if (!applied) { return applied; }
    whole_ = true;
  }
  return failure("the journal grows faster than it can be followed", Errc::Expired);
}

/// A journal that grows too fast is the same news at each turn.
void TransferUnit::tell_once(const std::string& cause) {
  if (causes_told_.size() == causes_max || !causes_told_.insert(cause).second) { return; }
  log::info("{}: following the mirror's state begins anew, as often as this happens: {}", spec_.id.value, cause);
}

void TransferUnit::follow() {
  follow_timer_.expires_after(whole_ ? follow_interval : again_);
  follow_timer_.async_wait([this, going = std::weak_ptr(following_)](const boost::system::error_code& error) {
    if (error || going.expired()) { return; }
    const bool was_whole = whole_;
    auto done = was_whole ? catch_up() : begin_anew();
    if (!done && was_whole) {
      tell_once(log::describe(done.error()));
      again_ = again_first;
    } else if (!done) {
      callbacks_.on_alarm("the mirror's state cannot be followed, a movement would be refused: " +
                              log::describe(done.error()) + "; trying again",
                          "");
      again_ = std::min(2 * again_, again_max);
    }
    follow();
  });
}

/// The kernel's records end exactly where the guest has stopped writing them; an application may have gone on until the
/// freeze. Less is no state to serve from: what the guest has written is not what this host maps.
Status TransferUnit::check_final(const FinalSequences& final) {
  for (const auto& [name, told] : final) {
    const auto store = region_->store(name);
    if (!store) { continue; }
    const bool net = name == net::net_store_name;
    const auto reached = net ? journal_->position() : store->committed();
    if (reached < told) {
      return failure("the mirror has written its store \"" + name + "\" up to " + std::to_string(told.value) +
                         ", this host's copy ends at " + std::to_string(reached.value),
                     Errc::Damaged);
    }
    if (net && reached > told) {
      callbacks_.on_alarm("the mirror of role " + spec_.id.value + " went on recording its kernel's state up to " +
                              std::to_string(reached.value) + " after it had said that " + std::to_string(told.value) +
                              " is the last: the end of its kernel's events is not known",
                          "");
    }
  }
  return {};
}

/// Once the guest is dead nobody but this host can serve the role: what keeps it from writing the region is found out
/// before. The guest, which can have written any bytes, serves on then.
Status TransferUnit::check_writable(Term term) const {
  for (const auto& described : region_->schema().stores) {
    const auto store = region_->store(described.name);
    if (!store) { return store.error(); }
    if (auto done = store->can_be_served_under(term); !done) {
      return failure("this host could not write the mirror's region: " + done.error().message, done.error().code);
    }
  }
  return {};
}

Status TransferUnit::finish(Term term, const FinalSequences& final) {
  following_.reset();
  follow_timer_.cancel();
  // To install all of it now would keep the role waiting: it goes on in its mirror, and is moved another time.
  if (!whole_) { return failure("this host's kernel does not have all of the mirror's state yet", Errc::Refused); }
  if (auto done = catch_up(); !done) { return done; }
  if (auto checked = check_final(final); !checked) { return checked; }
  if (auto checked = check_writable(term); !checked) { return checked; }
  const auto& report = installer_->report();
  if (report.refused != 0) {
    callbacks_.on_alarm("the host's kernel refused " + std::to_string(report.refused) + " records of role " +
                            spec_.id.value + ": " + report.first_refusal,
                        "");
  }
  return {};
}

void TransferUnit::take_over(Term term, std::function<void(Status)> done) {
  if (auto opened = place_->open_region(); !opened) {
    done(opened);
    return;
  }
  if (auto writing = place_->begin_writing(term); !writing) {
    done(writing);
    return;
  }
  const auto attempt = new_attempt();
  // One that ended since it was prepared is started again; one that runs is ready at once.
  place_->start_application([this, attempt, term, done = std::move(done)](const Status& ready) {
    if (attempt.expired()) { return; }
    if (!ready) {
      done(ready);
      return;
    }
    place_->activate(term, [this, attempt, done](const Status& active) {
      if (attempt.expired()) { return; }
      done(active.ok() ? speak() : active);
    });
  });
}

Status TransferUnit::speak() {
  for (const auto& port : moved_gate_ports(spec_)) {
    if (auto opened = network_.gate().open(port); !opened) { return opened; }
  }
  place_->announce();
  if (auto settled = installer_->settle(*net_store_); !settled) {
    callbacks_.on_alarm("remaining times of flows: " + log::describe(settled.error()), "");
  }
  return {};
}

void TransferUnit::discard(std::function<void(Status)> done) {
  const auto attempt = new_attempt();
  following_.reset();
  follow_timer_.cancel();
  const auto clean = [this, attempt, done] {
    if (attempt.expired()) { return; }
    place_.reset();
    installer_.reset();
    for (const auto& port : moved_gate_ports(spec_)) {
      (void)network_.gate().close(port);
      (void)network_.links().delete_link(port);
    }
    const auto deleted = net::delete_namespace(options_.namespace_path);
    done(deleted.ok() || deleted.error().code == Errc::NotFound ? Status{} : deleted);
  };
  if (place_) {
    place_->stop_application([clean](const Status&) { clean(); });
  } else {
    stop_former_application(attempt, clean);
  }
}

}  // namespace understudy::host
