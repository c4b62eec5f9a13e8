# SPDX-License-Identifier: Apache-2.0
"""A planned switchover under traffic loses nothing: the healthy active lets go of its role when the mirror has all of
it. Before: one whose mirror hangs is rolled back, and the active serves on under the term that it had."""
# Covers: host-agent/edge/agent_hand_over.cpp
import signal
import time
import unittest
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import ROLE, GroupCase, daemons, memory, say  # noqa: E402
from understudy_lab import processes  # noqa: E402
from understudy_lab.errors import LabError  # noqa: E402


class PlannedSwitchover(GroupCase):
    def test_loses_nothing_and_one_that_cannot_is_rolled_back(self):
        self.wait_state("protected")
        self.one_whose_mirror_hangs_is_rolled_back()
        self.the_role_is_served_by_its_mirror()
        self.it_cannot_be_ordered_once_more()
        self.finish_traffic()

    def order(self, reason):
        since = time.time_ns()
        say(daemons.operator(self.state, self.binaries, "switchover", ROLE, "--reason", reason).strip())
        return since

    def one_whose_mirror_hangs_is_rolled_back(self):
        before = self.role()
        guests = memory.guests(self.state)
        self.assertEqual(len(guests), 1)
        mirror = processes.identity(guests[0])
        self.assertTrue(processes.send(mirror, signal.SIGSTOP))
        since = self.order("a drill")
        told = self.wait_event(lambda event: event["kind"] == "switchover" and "rolled back" in event["text"],
                               "the switchover is rolled back", since, 10)
        say(told["text"])
        self.assertEqual(told["severity"], "alarm")
        self.wait_traffic("the active serves on", 10)
        self.assertTrue(processes.send(mirror, signal.SIGCONT))
        # The stream that was shipped to its end is made anew: protected again by the mirror's word after that.
        self.wait_event(lambda event: event["kind"] == "mirror" and event["text"].startswith("synced"),
                        "the mirror is synced again", told["time_ns"], 30)
        self.wait_state("protected", 30)
        after = self.role()
        self.assertEqual((after["place"], after["term"]), (before["place"], before["term"]))
        self.assertEqual([event["text"] for event in self.stream.all if event["time_ns"] >= since
                          and event.get("phase") in ("isolate", "activate")], [], "nobody was isolated or activated")

    def the_role_is_served_by_its_mirror(self):
        since = self.order("its fan is to be changed")
        self.wait_state("on-mirror", 20)
        self.wait_traffic("traffic through the mirror")
        role = self.role()
        self.assertEqual((role["place"]["blade"], role["place"]["kind"]), (self.standby, "mirror"))
        for phase in ("quiesce", "ship", "activate"):
            took = self.wait_event(lambda event, phase=phase: event.get("phase") == phase, f"phase {phase} is told",
                                   since)
            say(f"{phase} {took['ms']:.1f} ms")
        by_hand = self.wait_event(lambda event: event["kind"] == "command" and "fan" in event["text"], "who and why",
                                  since)
        self.assertIn(f"switchover {ROLE}", by_hand["text"])
        arrivals = [at for at in self.traffic.arrivals(ROLE) if at > since - 100_000_000]
        say(f"longest gap of the probe {max(b - a for a, b in zip(arrivals, arrivals[1:])) / 1e6:.1f} ms")

    def it_cannot_be_ordered_once_more(self):
        with self.assertRaises(LabError) as refused:
            daemons.operator(self.state, self.binaries, "switchover", ROLE, "--force", "--reason", "a test")
        self.assertIn("only a role that is protected can be switched over", str(refused.exception))


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
