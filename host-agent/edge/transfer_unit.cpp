// SPDX-License-Identifier: Apache-2.0
#include "edge/transfer_unit.hpp"

#include "understudy/common/log.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::host {

namespace {
constexpr auto follow_interval = std::chrono::milliseconds(5);
constexpr std::size_t chunk_bytes_max = 256 * 1024;
constexpr int chunks_max = 4096;  ///< of one catch-up: a hostile journal must not keep us for ever
}  // namespace

TransferUnit::TransferUnit(boost::asio::io_context& io, const BladeConfig& config, StandbyNetwork& network,
                           link::RoleSpec spec, place::RolePlaceCallbacks callbacks)
    : io_(io),
      config_(config),
      network_(network),
      spec_(std::move(spec)),
      namespace_path_(config.run_dir + "/" + spec_.id.value + ".netns"),
      follow_timer_(io),
      callbacks_(std::move(callbacks)) {}

std::string TransferUnit::port_name(const link::PortSpec& port, const char* prefix) const {
  return prefix + std::to_string(spec_.number) + "-" + port.name;
}

std::vector<std::string> TransferUnit::gated_ports() const {
  std::vector<std::string> ports;
  for (const auto& port : spec_.ports) { ports.push_back(port_name(port, "h")); }
  return ports;
}

Status TransferUnit::make_namespace() {
  (void)net::delete_namespace(namespace_path_);  // of an earlier try
  if (auto done = net::create_namespace(namespace_path_); !done) { return done; }
  auto& links = network_.links();
  for (const auto& port : spec_.ports) {
    const auto outer = port_name(port, "h");
    const auto inner = port_name(port, "r");
    (void)links.delete_link(outer);
    auto bridge = network_.bridge_of(port.network);
    if (!bridge) { return bridge.error(); }
    if (auto done = links.create_veth(outer, inner); !done) { return done; }
    if (auto done = links.set_quiet(outer); !done) { return done; }
    if (auto done = links.move_to_namespace(inner, namespace_path_); !done) { return done; }
    if (auto done = network_.join(outer, *bridge); !done) { return done; }
  }
  return {};
}

void TransferUnit::prepare(std::function<void(Status)> done) {
  if (auto made = make_namespace(); !made) {
    done(made);
    return;
  }
  place::PlaceOptions options;
  options.namespace_path = namespace_path_;
  options.run_dir = config_.run_dir;
  options.region_path = config_.region_path(spec_.id);
  for (const auto& port : spec_.ports) { options.ports.emplace_back(port.name, port_name(port, "r")); }
  place_ = std::make_unique<place::RolePlace>(io_, spec_, options, callbacks_);
  for (const auto& step : {place_->configure(), preload()}) {
    if (!step) {
      done(step);
      return;
    }
  }
  follow();
  place_->start_application(std::move(done));
}

Status TransferUnit::preload() {
  auto region = shm::Region::open(config_.region_path(spec_.id), shm::Access::ReadOnly);
  if (!region) { return region.error(); }
  auto store = region->store(net::net_store_name);
  if (!store) { return store.error(); }
  net_store_.emplace(std::move(store).value());
  journal_.emplace(*net_store_, net_store_->committed());  // first the position, then the tables: nothing is missed
  auto scope = net::NamespaceScope::enter(namespace_path_);
  if (!scope) { return scope.error(); }
  auto ports = net::PortMap::resolve(place_->options().ports);
  if (!ports) { return ports.error(); }
  auto installer = net::Installer::open(std::move(ports).value(), {});
  if (!installer) { return installer.error(); }
  installer_.emplace(std::move(installer).value());
  return installer_->install_all(*net_store_);
}

Status TransferUnit::catch_up() {
  for (int i = 0; i < chunks_max; ++i) {
    auto chunk = journal_->read(chunk_bytes_max);
    if (!chunk) { return chunk.error(); }
    if (chunk->state == shm::JournalReader::State::Nothing) { return installer_->flush(); }
    if (chunk->state == shm::JournalReader::State::Lapped) {
      journal_.emplace(*net_store_, net_store_->committed());
      if (auto installed = installer_->install_all(*net_store_); !installed) { return installed; }
      continue;
    }
    Status applied;
    auto decoded = shm::for_each_entry(chunk->bytes, [&](const shm::JournalEntry& entry) {
      if (auto done = installer_->apply(entry); !done && applied.ok()) { applied = done; }
    });
    if (!decoded) { return decoded; }
    if (!applied) { return applied; }
  }
  return failure("the journal of role " + spec_.id.value + " grows faster than it can be followed", Errc::Expired);
}

void TransferUnit::follow() {
  follow_timer_.expires_after(follow_interval);
  follow_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) { return; }
    if (auto done = catch_up(); !done) {
      callbacks_.on_alarm("following the mirror's state: " + log::describe(done.error()));
      return;
    }
    follow();
  });
}

Status TransferUnit::finish() {
  follow_timer_.cancel();
  if (auto done = catch_up(); !done) { return done; }
  const auto& report = installer_->report();
  if (report.refused != 0) {
    callbacks_.on_alarm("the host's kernel refused " + std::to_string(report.refused) + " records of role " +
                        spec_.id.value + ": " + report.first_refusal);
  }
  return {};
}

void TransferUnit::take_over(Term term, std::function<void(Status)> done) {
  if (auto opened = place_->open_region(false); !opened) {
    done(opened);
    return;
  }
  if (auto writing = place_->begin_writing(term); !writing) {
    done(writing);
    return;
  }
  place_->activate(term, [this, done = std::move(done)](Status active) {
    if (!active) {
      done(active);
      return;
    }
    for (const auto& port : gated_ports()) {
      if (auto opened = network_.gate().open(port); !opened) {
        done(opened);
        return;
      }
    }
    place_->announce();
    done({});
    if (auto settled = installer_->settle(*net_store_); !settled) {
      callbacks_.on_alarm("remaining times of flows: " + log::describe(settled.error()));
    }
  });
}

void TransferUnit::discard(std::function<void(Status)> done) {
  follow_timer_.cancel();
  const auto clean = [this, done](const Status&) {
    place_.reset();
    installer_.reset();
    for (const auto& port : gated_ports()) {
      (void)network_.gate().close(port);
      (void)network_.links().delete_link(port);
    }
    done(net::delete_namespace(namespace_path_));
  };
  if (place_) {
    place_->stop_application(clean);
  } else {
    clean({});
  }
}

}  // namespace understudy::host
