// SPDX-License-Identifier: Apache-2.0
/// A firewall, or a switch's filter, that drops a blade's BFD while its streams live: first for the control-servers
/// and, mostly, for the mirror a while later. The blade talks on, so nobody may be taken over: it accuses nobody where
/// nothing else goes wrong.
///
///     control-server's BFD  ──────┐                                    ┌── heard
///     mirror's BFD          ──────────────┐                  ┌──────────── heard
///                                 ◄ >1.5 s ►  the host-agent has told something by then (once a second)
///
/// The other way round, or both at once, is outside of what is promised: nothing was said by then, and the blade looks
/// like a dead one (docs/VOTES.md).
#include "faults.hpp"

namespace understudy::sim {

void Faults::inject_filter(const Plan::Item& item) {
  const unsigned role = item.role;
  const Duration lasts = random_.between(3s, random_.chance(0.5) ? 5s : 12s);
  const Duration later = random_.between(1500ms, 2500ms);
  const bool mirror_too = random_.chance(0.7);
  const bool shared = world_.settings.control_on_standby;  // one observer's path is the other's
  if (shared || world_.scheduler.now() < filtered_until_[role]) { return; }
  note(Fault::BfdFiltered, "of " + world_.blades[role]->machine.name + (mirror_too ? ", for both observers" : ""));
  count(Fault::BfdFiltered, role);
  if (!plan_.its_kind_only) { accuse(role, true, true); }
  constexpr Duration heard_again = 3s;
  filtered_until_[role] = world_.scheduler.now() + lasts + heard_again;
  for (unsigned server = 0; server < world_.servers(); ++server) { filter(role, world_.control_site(server), lasts); }
  if (!mirror_too) { return; }
  world_.scheduler.after(later, [this, role, left = lasts - later] {
    if (!healing_) { filter(role, world_.standby(), left - Duration(500ms)); }
  });
}

void Faults::filter(unsigned blade, unsigned observer, Duration lasts) {
  const auto change = [this, blade, observer](bool on) {
    world_.network.before_change();
    for (auto* path : {&world_.network.path(blade, observer), &world_.network.path(observer, blade)}) {
      path->filters += on ? 1U : 0U;
      path->filters -= !on && path->filters > 0 ? 1U : 0U;
    }
    world_.network.after_change();
  };
  change(true);
  undo_later(std::max(lasts, Duration(1ms)), [change] { change(false); });
}

}  // namespace understudy::sim
