// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The mirror's part of a movement before its freeze: what the kernel has accepted becomes records, and then no record
/// changes any more (rule 12).
///
///   begin(marker) ──► marker seen on every NIC ──► application, if it needs it ──► the collector's queues run dry
///                                                                              ──► done; the store "net" is final
///   give_up(): the movement was rolled back; the collector goes on, and done is not called any more
///
/// While the tap is closed every millisecond is a gap, and a store survives any instant (D5): only an application that
/// declared that it needs quiescing is asked. A marker that does not come is waited for a bounded time and then told.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "edge/nic_markers.hpp"
#include "place/role_place.hpp"

namespace understudy::guest {

class Quiesce {
 public:
  /// Also when it failed, no record of the kernel's state changes any more.
  using Done = std::function<void(const Status&)>;

  Quiesce(boost::asio::io_context& io, place::RolePlace& place) : place_(place), markers_(io) {}
  Status open() { return markers_.open(place_.spec(), place_.options().ports); }
  /// `marker` 0: of a host that sends none.
  void begin(std::uint64_t marker, Duration marker_limit, Done done);
  void give_up();
  /// Of the last one: ports whose marker did not come in time.
  [[nodiscard]] const std::vector<std::string>& unmarked() const { return unmarked_; }

 private:
  void quiet_application(const std::function<void(Status)>& next);

  place::RolePlace& place_;
  NicMarkers markers_;
  std::vector<std::string> unmarked_;
  std::shared_ptr<int> attempt_;  ///< late answers hold it weakly
};

}  // namespace understudy::guest
