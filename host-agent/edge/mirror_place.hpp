// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A mirror on this standby: taps behind the closed gate, a fresh region, a guest.
///
///   start() ──► taps join bridges (gate closed) ──► region file (beside the loop) ──► QEMU ──hello──► configure …
///   open_gate() / close_gate(): the only thing that decides whether the mirror speaks on service networks
///   clean() after a movement, discard() after a release: who makes the region file is who removes it
///   cut(): the taps leave their bridges and the guest is killed: from here on nobody can resume it (rule 14)
///
/// A crash leaves QEMU, taps and region; adopt() finds them (D13).

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/config.hpp"
#include "edge/guests/accelerator.hpp"
#include "edge/guests/guest.hpp"
#include "edge/region_maker.hpp"
#include "edge/standby_network.hpp"
#include "edge/tap_markers.hpp"

namespace understudy::host {

/// The host's interface that is the mirror's `port`.
[[nodiscard]] std::string mirror_tap_name(const link::RoleSpec& spec, const std::string& port);

class MirrorPlace {
 public:
  MirrorPlace(boost::asio::io_context& io, const BladeConfig& config, StandbyNetwork& network, RegionMaker& regions,
              link::RunMirror mirror, GuestCallbacks callbacks);
  MirrorPlace(const MirrorPlace&) = delete;
  MirrorPlace& operator=(const MirrorPlace&) = delete;

  /// `done`: QEMU runs, or why not. Not called when this mirror is gone by then; nor is anything left of it.
  void start(Accelerator accelerator, RegionDevice device, std::function<void(Status)> done);
  Status adopt();
  void hold(link::RunMirror mirror) { mirror_ = std::move(mirror); }
  [[nodiscard]] const link::RunMirror& mirror() const { return mirror_; }
  Status send(const link::guest::GuestOrder& order);
  [[nodiscard]] bool has_guest() const { return guest_ != nullptr && !guest_->gone(); }
  [[nodiscard]] Guest& guest() { return *guest_; }
  [[nodiscard]] std::string console_hint() const { return guest_ != nullptr ? guest_->console_hint() : std::string(); }

  /// CPU share against the other guests; a failure is only logged.
  void prefer(GuestWeight weight);
  Status open_gate();
  Status close_gate();
  /// The gate closes for good: the share of the CPU that a serving guest has goes back with it.
  Status stop_serving();
  /// The service ports, for a movement's markers.
  [[nodiscard]] std::vector<MarkedTap> marked_taps() const;
  void cut(std::function<void(Status)> done);
  /// Taps away, after the guest is gone. The region stays: after a movement it is the host's.
  void clean();
  /// Taps and region away, after the guest is gone: nobody has the role here any more.
  void discard();

 private:
  void remember_region();
  Status launch(GuestOptions options);
  Status make_taps(std::vector<GuestNic>& nics);
  [[nodiscard]] std::string tap_name(const std::string& port) const;

  boost::asio::io_context& io_;
  const BladeConfig& config_;
  StandbyNetwork& network_;
  RegionMaker& regions_;
  link::RunMirror mirror_;
  GuestCallbacks callbacks_;
  std::unique_ptr<Guest> guest_;
  std::optional<FileIdentity> region_;  ///< of this mirror
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace understudy::host
