// SPDX-License-Identifier: Apache-2.0
#include "edge/lease_gate.hpp"

#include "understudy/common/boot_clock.hpp"

namespace understudy::host {

Status time_gate(net::Gate& gate, const std::vector<std::string>& ports, const TimeGate& effect) {
  const auto element = std::chrono::duration_cast<std::chrono::milliseconds>(effect.element);
  Status done;
  bool touched = false;
  for (const auto& port : ports) {
    if (!done || boot_now() >= effect.until) { break; }
    touched = true;
    done = effect.how == TimedHow::Refresh ? gate.refresh(port, element) : gate.open_for(port, element);
  }
  if (boot_now() < effect.until) { return done; }
  if (!touched) { return failure("the grant has run out", Errc::Expired); }
  if (auto closed = net::close_all(gate, ports); !closed) { return closed; }  // any may have been opened after that
  return failure("the grant ran out while the gate was being opened: it is closed again", Errc::Expired);
}

Status untime_gate(net::Gate& gate, const std::vector<std::string>& ports) {
  for (const auto& port : ports) {
    if (auto opened = gate.open(port); !opened) { return opened; }
  }
  return {};
}

}  // namespace understudy::host
