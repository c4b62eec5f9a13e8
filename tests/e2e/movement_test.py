# SPDX-License-Identifier: Apache-2.0
"""Movements that are disturbed between freeze and commit."""
# Covers: host-agent/edge/agent.cpp, host-agent/edge/agent_steps.cpp, host-agent/edge/mirror_place.cpp,
# host-agent/edge/movement_unit.cpp, host-agent/edge/transfer_unit.cpp
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import GroupCase, ROLE, lab, memory, say  # noqa: E402


class DisturbedMovement(GroupCase):
    options = {"drill": lab.DRILL}

    def test_one_that_fails_before_its_commit_thaws_the_guest_and_the_next_survives_both_cuts(self):
        self.take_over()
        self.fails_and_serves_on()
        self.moves_with_link_and_channel_cut()
        self.finish_traffic()

    def fails_and_serves_on(self):
        guests = self.guests()
        self.drill("frozen", "fail")
        since = self.order_move()
        told = self.wait_event(lambda event: event["kind"] == "movement" and "rolled back" in event["text"],
                               "the movement rolls back", since)
        say(told["text"])
        self.assertIn("ended with status 1", told["text"])
        self.wait_state("on-mirror", 10)
        self.wait_traffic("the thawed guest serves on")
        self.assertEqual(self.guests(), guests)
        self.assertIsNone(memory.region_of_application(self.state, ROLE), "the prepared application is gone")

    def moves_with_link_and_channel_cut(self):
        before = memory.region_of_guest(self.state, ROLE)
        self.drill("frozen", "cut")
        since = self.order_move()
        self.wait_event(lambda event: event.get("phase") == "resume", "the movement ends", since)
        self.assertEqual(self.drill_log(), "the guest is paused; cut: m1-mnt, agent channel")
        self.wait_state("on-host", 10)
        self.wait_traffic("the host serves")
        self.assertEqual(memory.region_of_application(self.state, ROLE), before)
        self.wait_event(lambda event: event.get("phase") == "release", "no guest is left", since)
        self.assertEqual(self.guests(), [])


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
