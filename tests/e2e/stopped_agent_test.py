# SPDX-License-Identifier: Apache-2.0
"""Nothing but the host-agent of an active stops, and nothing but its lease allows the takeover: the role's application
and the kernel live on, so the blade speaks under the role's addresses until the kernel itself closes the gate, and only
after that does the mirror announce. The host-agent goes on later: the gate stays closed. systemd would have killed it
meanwhile, since it was not fed; nor is one whose loop hangs while its other threads run."""
# Covers: host-agent/edge/lease_gate.cpp, common/src/service_manager.cpp
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import REPOSITORY, blades, memory, say, until  # noqa: E402
from lease_case import LeaseCase  # noqa: E402
from understudy_lab import processes  # noqa: E402

sys.path.insert(0, os.path.join(REPOSITORY, "tests", "support"))
import held_thread  # noqa: E402
from notified import Notified  # noqa: E402

WATCHDOG_S = 4


class OnlyItsHostAgent(LeaseCase):
    def setUp(self):
        self.systemd = Notified(WATCHDOG_S)
        self.addCleanup(self.systemd.close)
        super().setUp()

    def test_stops_its_gate_closes_by_itself_and_only_then_does_the_mirror_announce(self):
        agent, application = self.process("understudy-host-agent"), self.process("session-service")
        self.assertIsNotNone(self.systemd.fed_at(agent), "it is fed")
        stopped_at = time.time_ns()
        self.send(agent, signal.SIGSTOP)
        say(f"the host-agent of {self.active} is stopped, and nothing else")
        self.is_refused(stopped_at)
        self.is_counted_out(stopped_at)
        self.assertNotIn("T", held_thread.states(application).values(), "the application lives on")
        self.assertEqual(set(held_thread.states(agent).values()), {"T"})
        until(lambda: self.systemd.would_be_killed(agent), "systemd would have killed it, and started it anew")
        self.goes_on(agent)
        self.one_whose_loop_hangs_is_not_fed(agent)
        self.wait_traffic("the mirror serves on")
        self.finish_traffic(fresh=False)

    def process(self, name):
        """The only one of that name on the active."""
        tree = processes.descendants(blades.running_init(self.state, self.active)["pid"])
        found = [pid for pid in tree if memory.name_of(pid) == name[:15]]
        self.assertEqual(len(found), 1, found)
        return found[0]

    def send(self, pid, number):
        self.assertTrue(processes.send(processes.identity(pid), number))

    def goes_on(self, agent):
        since = time.time_ns()
        self.send(agent, signal.SIGCONT)
        say("it goes on; the switch has not isolated its blade")
        self.stays_silent_when_it_is_back(since)
        self.assertEqual(self.process("understudy-host-agent"), agent)
        until(lambda: not self.systemd.would_be_killed(agent), "it is fed again")

    def one_whose_loop_hangs_is_not_fed(self, agent):
        with held_thread.held(agent):
            until(lambda: self.systemd.would_be_killed(agent), "a loop that hangs is not fed")
            states = held_thread.states(agent)
            self.assertGreater(len(states), 1)
            self.assertEqual([thread for thread, state in states.items() if state in "tT"], [agent], states)
        until(lambda: not self.systemd.would_be_killed(agent), "it is fed again")
        say(f"with its loop held alone it was not fed for {WATCHDOG_S} s, while {len(states) - 1} other threads ran")


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
