// SPDX-License-Identifier: Apache-2.0
#include "edge/mirror_place.hpp"

#include "place/region_schema.hpp"
#include "understudy/common/log.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::host {

namespace {
constexpr auto kill_deadline = std::chrono::seconds(5);
constexpr const char* maintenance_port = "mnt";
}  // namespace

MirrorPlace::MirrorPlace(boost::asio::io_context& io, const BladeConfig& config, StandbyNetwork& network,
                         RegionMaker& regions, link::RunMirror mirror, GuestCallbacks callbacks)
    : io_(io),
      config_(config),
      network_(network),
      regions_(regions),
      mirror_(std::move(mirror)),
      callbacks_(std::move(callbacks)) {}

std::string mirror_tap_name(const link::RoleSpec& spec, const std::string& port) {
  return "m" + std::to_string(spec.number) + "-" + port;
}

std::string MirrorPlace::tap_name(const std::string& port) const { return mirror_tap_name(mirror_.spec, port); }

Status MirrorPlace::make_taps(std::vector<GuestNic>& nics) {
  auto& links = network_.links();
  const auto make = [&](const std::string& port, const MacAddress& mac) -> Status {
    const auto tap = tap_name(port);
    (void)links.delete_link(tap);  // of a guest that died
    nics.push_back({port, tap, mac});
    if (auto done = links.create_tap(tap); !done) { return done; }
    return links.set_quiet(tap);
  };
  for (const auto& port : mirror_.spec.ports) {
    auto bridge = network_.bridge_of(port.network);
    if (!bridge) { return bridge.error(); }
    if (auto done = make(port.name, port.mac); !done) { return done; }
    if (auto done = network_.join(tap_name(port.name), *bridge); !done) { return done; }
  }
  if (auto done = make(maintenance_port, mirror_.spec.mirror_mac); !done) { return done; }
  return network_.join_ungated(tap_name(maintenance_port), network_.maintenance_bridge());
}

void MirrorPlace::start(Accelerator accelerator, RegionDevice device, std::function<void(Status)> done) {
  const auto& spec = mirror_.spec;
  GuestOptions options;
  if (auto made = make_taps(options.nics); !made) { return done(made); }
  options.role = spec.id.value;
  options.run_dir = config_.run_dir;
  options.qemu = config_.mirrors.qemu;
  options.kernel = config_.mirrors.kernel;
  options.initramfs = config_.mirrors.initramfs;
  options.accelerator = accelerator;
  options.memory_mib = spec.mirror_memory_mib;
  options.region_path = config_.region_path(spec.id);
  options.region_bytes = spec.region_bytes;
  options.region_device = device;
  options.debug_shell = config_.mirrors.debug_shell;
  const auto info_bytes = device == RegionDevice::Nvdimm ? shm::nvdimm_info_bytes : 0;
  const RegionOrder order{options.region_path, spec.region_bytes, place::region_schema(spec), info_bytes};
  regions_.make(order, alive_, [this, options, done = std::move(done)](Result<std::optional<shm::Region>> region) {
    if (!region) { return done(region.error()); }
    regions_.let_go(std::move(*region));
    done(launch(options));
  });
}

Status MirrorPlace::launch(GuestOptions options) {
  remember_region();
  auto guest = Guest::start(io_, std::move(options), callbacks_, config_.mirrors.boot_deadline);
  if (!guest) { return guest.error(); }
  guest_ = std::move(guest).value();
  prefer(GuestWeight::Idle);  // one that is gone already tells so itself, and why
  return {};
}

Status MirrorPlace::adopt() {
  remember_region();
  auto guest = Guest::adopt(io_, config_.run_dir, mirror_.spec.id.value, callbacks_, config_.mirrors.boot_deadline);
  if (!guest) { return guest.error(); }
  guest_ = std::move(guest).value();
  return {};
}

Status MirrorPlace::send(const link::guest::GuestOrder& order) {
  if (!has_guest()) { return failure("mirror of " + mirror_.spec.id.value + " is not running", Errc::Refused); }
  return guest_->send(order);
}

Status MirrorPlace::open_gate() {
  for (const auto& port : mirror_.spec.ports) {
    if (auto done = network_.gate().open(tap_name(port.name)); !done) { return done; }
  }
  return {};
}

void MirrorPlace::prefer(GuestWeight weight) {
  if (!has_guest()) { return; }
  if (auto weighted = guest_->set_weight(weight); !weighted) { log::warn("{}", log::describe(weighted.error())); }
}

Status MirrorPlace::close_gate() {
  std::vector<std::string> taps;
  for (const auto& port : mirror_.spec.ports) { taps.push_back(tap_name(port.name)); }
  return net::close_all(network_.gate(), taps);
}

Status MirrorPlace::stop_serving() {
  auto closed = close_gate();
  prefer(GuestWeight::Idle);
  return closed;
}

std::vector<MarkedTap> MirrorPlace::marked_taps() const {
  std::vector<MarkedTap> taps;
  for (const auto& port : mirror_.spec.ports) { taps.push_back({port.name, tap_name(port.name), port.mac}); }
  return taps;
}

void MirrorPlace::cut(std::function<void(Status)> done) {
  Status cut;
  for (const auto& port : mirror_.spec.ports) {
    if (auto cleared = network_.links().clear_master(tap_name(port.name)); !cleared) { cut = cleared; }
  }
  if (!has_guest()) {
    done(cut);
    return;
  }
  guest_->kill(kill_deadline, [cut, done = std::move(done)](Status killed) { done(killed.ok() ? cut : killed); });
}

void MirrorPlace::clean() {
  for (const auto& port : mirror_.spec.ports) {
    (void)network_.gate().close(tap_name(port.name));
    (void)network_.links().delete_link(tap_name(port.name));
  }
  (void)network_.links().delete_link(tap_name(maintenance_port));
}

void MirrorPlace::discard() {
  clean();
  regions_.remove(config_.region_path(mirror_.spec.id), region_);
}

void MirrorPlace::remember_region() { region_ = file_identity(config_.region_path(mirror_.spec.id)); }

}  // namespace understudy::host
