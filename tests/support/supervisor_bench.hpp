// SPDX-License-Identifier: Apache-2.0
#pragma once
/// An application under its supervisor: orders that are given and waited for.

#include <memory>

#include "support/run_until.hpp"
#include "understudy/app/supervisor.hpp"

namespace understudy::test {

class SupervisorBench : protected Loop {
 protected:
  static constexpr auto order_deadline = std::chrono::milliseconds(8000);

  Status ready(app::Supervisor& place) {
    return outcome([&](auto done) { place.wait_ready(order_deadline, done); });
  }
  Status activate(app::Supervisor& place, std::uint64_t term, std::chrono::milliseconds deadline = order_deadline) {
    return outcome([&](auto done) { place.activate(Term{term}, deadline, done); });
  }
  Status quiesce(app::Supervisor& place, std::chrono::milliseconds deadline = order_deadline) {
    return outcome([&](auto done) { place.quiesce(deadline, done); });
  }
  /// The same for the one supervisor of a test.
  Status ready() { return ready(*supervisor_); }
  Status activate(std::uint64_t term, std::chrono::milliseconds deadline = order_deadline) {
    return activate(*supervisor_, term, deadline);
  }
  Status quiesce(std::chrono::milliseconds deadline = order_deadline) { return quiesce(*supervisor_, deadline); }

  std::unique_ptr<app::Supervisor> supervisor_;
};

}  // namespace understudy::test
