// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The transfer unit: the state of a role in a mirror becomes the state of the same role on this host, without being
/// copied where it is memory, and ahead of time where it is kernel state.
///
///   region file ──mapped by QEMU──► guest writes          (the guest serves)
///        └─ (an nvdimm's: behind its info block)
///        └──────mapped here, read only──► Installer ──► namespace of the role on this host, gate closed
///                                   journal followed          application: started, standing by, region mapped
///
/// prepare() under traffic, finish() when the guest is frozen, take_over() after the movement's commit. Nothing is
/// written to the region before take_over(). discard() undoes prepare(), also that of a former daemon; a crash leaves a
/// namespace, veths and the application, which the next prepare() replaces.

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "edge/standby_network.hpp"
#include "place/role_place.hpp"
#include "understudy/net/installer.hpp"

namespace understudy::host {

/// A role that a movement brings to this host lives in a namespace of its own: where, and what the gate knows of it.
[[nodiscard]] place::PlaceOptions moved_place(const BladeConfig& config, const link::RoleSpec& spec);
[[nodiscard]] std::vector<std::string> moved_gate_ports(const link::RoleSpec& spec);

/// store -> the last sequence committed in it, as the guest has told when it was quiesced.
using FinalSequences = std::vector<std::pair<std::string, Sequence>>;

class TransferUnit {
 public:
  TransferUnit(boost::asio::io_context& io, const BladeConfig& config, StandbyNetwork& network, link::RoleSpec spec,
               place::RolePlaceCallbacks callbacks);
  TransferUnit(const TransferUnit&) = delete;
  TransferUnit& operator=(const TransferUnit&) = delete;

  void prepare(std::function<void(Status)> done);
  /// `term`: what the host will write the region under, which must be possible. `final`: what this host's copy must
  /// reach; empty: the guest was frozen before it could tell.
  Status finish(Term term, const FinalSequences& final = {});
  /// Host becomes the writer, application active, gate open, announced.
  void take_over(Term term, std::function<void(Status)> done);
  void discard(std::function<void(Status)> done);

  void alarm(const std::string& text) const { callbacks_.on_alarm(text, ""); }
  [[nodiscard]] bool application_needs_quiescing() const {
    return place_ && place_->application() != nullptr && place_->application()->status().needs_quiescing;
  }
  [[nodiscard]] std::unique_ptr<place::RolePlace> release_place() { return std::move(place_); }

 private:
  /// What a late answer belongs to. One whose attempt has been given up is not acted upon, and not passed on.
  using Attempt = std::weak_ptr<int>;
  Attempt new_attempt();
  /// Ends what an earlier try, of this daemon or a former one, has left running.
  void stop_former_application(const Attempt& attempt, std::function<void()> done);
  void make_place(const Attempt& attempt, const std::function<void(Status)>& done);
  Status make_namespace();
  Status preload();
  Status install_all();
  Status begin_anew();
  Status catch_up();
  Status check_final(const FinalSequences& final);
  [[nodiscard]] Status check_writable(Term term) const;
  void follow();
  void tell_once(const std::string& cause);
  Status speak();

  boost::asio::io_context& io_;
  const BladeConfig& config_;
  StandbyNetwork& network_;
  link::RoleSpec spec_;
  place::PlaceOptions options_;
  std::unique_ptr<place::RolePlace> place_;
  std::optional<shm::Region> region_;  ///< as the guest writes it
  std::optional<shm::Store> net_store_;
  std::optional<shm::JournalReader> journal_;
  std::optional<net::Installer> installer_;
  std::chrono::milliseconds again_{0};  ///< until it begins anew
  bool whole_ = false;                  ///< the kernel has all of the store up to the journal's position
  boost::asio::steady_timer follow_timer_;
  std::set<std::string> causes_told_;  ///< why following began anew, since the place was made
  std::shared_ptr<int> following_;     ///< its handlers hold it weakly: one that is due already cannot be cancelled
  std::shared_ptr<int> attempt_;
  place::RolePlaceCallbacks callbacks_;
};

}  // namespace understudy::host
