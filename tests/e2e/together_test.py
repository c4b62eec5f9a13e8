# SPDX-License-Identifier: Apache-2.0
"""Two actives, all that the group has, die in one instant: a witness that is no blade answers, so it is no failure of
who looks. Both mirrors take over and all traffic goes on; then the role of the higher priority moves to the host while
the other one is served by its mirror beside it, and moves after it."""
# Covers: control-server/core/group.cpp, host-agent/edge/agent.cpp, host-agent/edge/movement_unit.cpp
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import GroupCase, blades, daemons, memory, say, until  # noqa: E402

LOWER, HIGHER = "role-1", "role-2"


class BothActives(GroupCase):
    actives = 2
    options = {"witness": True, "priorities": {HIGHER: 200}}

    def test_die_at_once_and_both_roles_are_taken_over_and_moved_the_higher_one_first(self):
        regions = {role: memory.region_of_guest(self.state, role) for role in self.chassis.roles}
        self.both_are_taken_over()
        self.both_move()
        for role, region in regions.items():
            self.assertEqual(memory.region_of_application(self.state, role), region, role)
        self.finish_traffic()

    def both_are_taken_over(self):
        since = time.time_ns()
        blades.power_off(self.state, *self.chassis.active_blades)
        say(f"{' and '.join(self.chassis.active_blades)} are powered off")
        for role in self.chassis.roles:
            self.phase(role, "activate", since, 20)
        for role in self.chassis.roles:
            self.wait_state("on-mirror", 10, role)
            self.wait_traffic(f"traffic of {role} through its mirror", name=role)
        self.assertEqual(len(self.guests()), 2)

    def phase(self, role, name, since, seconds=60):
        return self.wait_event(lambda event: event.get("phase") == name and event["role"] == role, f"{name} of {role}",
                               since, seconds)

    def both_move(self):
        since = time.time_ns()
        daemons.operator(self.state, self.binaries, "policy", "always", "--reason", "a test")
        first = self.phase(HIGHER, "resume", since)
        begun = [event for event in self.stream.all if event["time_ns"] >= since and event["kind"] == "state"
                 and "moving" in event["text"]]
        self.assertEqual(begun[0]["role"], HIGHER)
        self.wait_traffic(f"{LOWER} is served all the time", name=LOWER)
        second = self.phase(LOWER, "resume", since)
        self.assertLess(first["time_ns"], second["time_ns"])
        for role in self.chassis.roles:
            self.wait_state("on-host", 10, role)
            self.wait_traffic(f"traffic of {role} through the host", name=role)
        until(lambda: not self.guests(), "no guest is left", 30)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
