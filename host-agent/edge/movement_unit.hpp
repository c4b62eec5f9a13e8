// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The movement unit's hands: performs the steps that core/movement decides on, for one role.
///
///   SendMarkers: through every tap and back   Freeze: QMP stop   Finish: last delta   Commit: record ─► taps away ─►
///   QEMU killed   Resume: host takes over Rollback: thaw, mirror's gate open again, prepared things gone
///
/// The commit's record (<run_dir>/<role>.commit) must outlive this daemon, not the host: when the host dies, this
/// place is gone anyway. It is one rename on tmpfs: no remote call and no disk while nobody serves (D10).

#include <functional>
#include <memory>

#include "core/events.hpp"
#include "edge/mirror_place.hpp"
#include "edge/tap_markers.hpp"
#include "edge/transfer_unit.hpp"

namespace understudy::host {

class MovementUnit {
 public:
  MovementUnit(boost::asio::io_context& io, const BladeConfig& config, MirrorPlace& mirror,
               std::unique_ptr<TransferUnit> transfer, bool frozen = false)
      : io_(io), config_(config), mirror_(mirror), transfer_(std::move(transfer)), markers_(io), frozen_(frozen) {}

  /// The term of the commit's record; NotFound: there is none.
  static Result<Term> read_commit(const BladeConfig& config, const RoleId& role);

  void perform(Step step, Term term, std::function<void(Status)> done);
  /// Known after PrepareMovement.
  [[nodiscard]] bool application_needs_quiescing() const { return transfer_->application_needs_quiescing(); }
  /// Of the markers that were sent last: what the guest must wait for before it says that it is quiesced.
  [[nodiscard]] std::uint64_t marker() const { return marker_; }
  /// The guest's last word before the freeze; Finish checks it.
  void heard_final(const link::guest::Quiesced& word) { final_ = word.sequences; }
  /// After Resume: the place that serves from now on.
  [[nodiscard]] std::unique_ptr<place::RolePlace> release_place() { return transfer_->release_place(); }

 private:
  Status write_commit(Term term);
  void freeze(std::function<void(Status)> done);
  void commit(Term term, std::function<void(Status)> done);
  void roll_back(std::function<void(Status)> done);

  boost::asio::io_context& io_;
  const BladeConfig& config_;
  MirrorPlace& mirror_;
  std::unique_ptr<TransferUnit> transfer_;
  TapMarkers markers_;
  std::uint64_t marker_ = 0;
  FinalSequences final_;
  bool frozen_ = false;  ///< or may be: a former daemon's movement was broken off
};

}  // namespace understudy::host
