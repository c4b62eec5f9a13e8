// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whether cables are in: the carrier of some interfaces, and the kernel's word that something about links has changed.
///
///   fd() readable ──► look(): takes all that is queued, then looks at each interface anew
///
/// What was queued only says when to look, so that neither an overrun of the socket nor a burst of changes hides where
/// it ended.

#include <map>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/net/interfaces.hpp"

namespace understudy::net {

class CarrierWatch {
 public:
  /// Of the calling thread's network namespace.
  static Result<CarrierWatch> open(std::vector<std::string> interfaces);
  CarrierWatch(CarrierWatch&&) noexcept;
  CarrierWatch& operator=(CarrierWatch&&) noexcept;
  ~CarrierWatch();

  [[nodiscard]] int fd() const;
  /// Each interface: up and with carrier. One that is not there has none.
  Result<std::map<std::string, bool>> look();

 private:
  struct Impl;
  explicit CarrierWatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::net
