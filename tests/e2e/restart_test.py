# SPDX-License-Identifier: Apache-2.0
"""Host-agents that are killed (SIGKILL) and started again: service, guests, takeover and movement go on."""
# Covers: host-agent/edge/agent_adopt.cpp
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import GroupCase, ROLE, blades, daemons, lab, memory, say, until  # noqa: E402
from understudy_lab import processes  # noqa: E402


class RestartedHostAgent(GroupCase):
    options = {"drill": lab.DRILL}
    killed = None  # still to be seen until process 1 has reaped it

    def agent(self, blade):
        init = blades.running_init(self.state, blade)["pid"]
        return next((pid for pid in processes.descendants(init)[1:] if memory.name_of(pid) == "understudy-host"), None)

    def kill_agent(self, blade):
        pid = self.agent(blade)
        self.assertIsNotNone(pid, f"no host-agent runs on {blade}")
        self.killed = pid
        self.assertTrue(processes.kill(processes.identity(pid)))
        say(f"the host-agent of {blade} is killed")

    def start_agent(self, blade):
        since = time.time_ns()
        init = blades.running_init(self.state, blade)

        def started():  # a signal that comes before the last thread of the killed one has ended starts nothing
            processes.send(init, signal.SIGHUP)
            return self.agent(blade) not in (None, self.killed)
        until(started, f"a host-agent runs on {blade}")
        self.wait_event(lambda event: event["kind"] == "agent" and event.get("blade") == blade
                        and "connected" in event["text"], f"the host-agent of {blade} connects", since)
        say(f"the host-agent of {blade} is back")

    def restart_agent(self, blade, meanwhile="traffic goes on without the daemon"):
        self.kill_agent(blade)
        self.wait_traffic(meanwhile)
        self.start_agent(blade)

    def wait_protected(self, since_ns):
        """By the mirror's word after the restart: the group's state may not have been left at all."""
        self.wait_event(lambda event: event["kind"] == "mirror" and event["text"].startswith("synced"),
                        "the mirror is synced again", since_ns, 30)
        self.wait_state("protected", 30)
        self.assertEqual([event["text"] for event in self.stream.all
                          if event["time_ns"] >= since_ns and event.get("phase") == "activate"], [], "nobody took over")

    def test_nothing_is_lost_in_any_stage_of_a_role(self):
        self.active_restarts()
        self.standby_restarts_while_mirroring()
        self.take_over()
        self.standby_restarts_while_its_mirror_serves()
        self.standby_dies_between_freeze_and_commit()
        self.standby_restarts_while_its_host_serves()
        self.finish_traffic()

    def test_an_active_whose_host_agent_stays_away_is_taken_over(self):
        self.wait_state("protected")  # the traffic's start may have cost a moment of it
        since = time.time_ns()
        self.kill_agent(self.active)
        self.wait_event(lambda event: event.get("phase") == "activate", "the takeover", since, 30)
        self.wait_state("on-mirror")
        self.wait_traffic("the mirror serves")
        self.finish_traffic(fresh=False)  # connections that began while nobody collected are not known to the mirror

    def test_an_active_that_has_forgotten_its_role_speaks_no_more(self):
        """A lost record leaves an agent that holds nothing, which is evidence, and an open gate, which must close."""
        self.wait_state("protected")
        since = time.time_ns()
        self.kill_agent(self.active)
        os.remove(os.path.join(blades.run_directory(self.state, self.active), f"held-{ROLE}.json"))
        self.start_agent(self.active)
        self.wait_event(lambda event: event.get("phase") == "activate", "the takeover", since, 30)
        self.wait_state("on-mirror")
        self.wait_traffic("the mirror serves")
        self.finish_traffic(fresh=False)

    def active_restarts(self):
        since, place, term = time.time_ns(), self.role()["place"], self.role()["term"]
        self.kill_agent(self.active)
        self.start_agent(self.active)
        self.wait_traffic("the active serves on")
        self.wait_protected(since)
        self.assertEqual((self.role()["place"], self.role()["term"]), (place, term))

    def standby_restarts_while_mirroring(self):
        since, guests = time.time_ns(), self.guests()
        self.restart_agent(self.standby)
        self.wait_protected(since)
        self.assertEqual(self.guests(), guests)

    def standby_restarts_while_its_mirror_serves(self):
        guests = self.guests()
        self.restart_agent(self.standby, "the mirror serves on without its host's daemon")
        self.wait_state("on-mirror", 20)
        self.assertEqual(self.guests(), guests)
        self.wait_traffic("the adopted mirror serves on")

    def die_in_movement(self, point):
        self.drill(point, "kill")
        since = self.order_move()
        until(lambda: self.agent(self.standby) is None, f"the host-agent dies in the movement, {point}")
        say(f"the host-agent died in the movement: {point}")
        return since

    def standby_dies_between_freeze_and_commit(self):
        guests = self.guests()
        self.die_in_movement("frozen")
        self.start_agent(self.standby)
        # The new daemon rolls it back. When it has done so before it is connected, the order that still stands is given
        # again and the role moves at once.
        until(lambda: self.role()["state"] in ("on-mirror", "on-host"), "the broken-off movement is over", 60)
        self.wait_traffic("the role is served again")
        if self.role()["state"] == "on-mirror":
            self.assertEqual(self.guests(), guests)
            say("rolled back")
            self.standby_dies_after_the_commit()

    def standby_dies_after_the_commit(self):
        before = memory.region_of_guest(self.state, ROLE)
        since = self.die_in_movement("committed")
        self.start_agent(self.standby)
        self.wait_event(lambda event: event.get("phase") == "resume", "the movement goes forward", since)
        self.wait_state("on-host", 10)
        self.wait_traffic("the host serves")
        self.assertEqual(memory.region_of_application(self.state, ROLE), before)
        self.wait_event(lambda event: event.get("phase") == "release", "no guest is left", since)
        self.assertEqual(self.guests(), [])

    def standby_restarts_while_its_host_serves(self):
        term = self.role()["term"]
        self.restart_agent(self.standby, "the moved role is served without the daemon")
        self.wait_state("on-host", 20)
        self.assertEqual(self.role()["term"], term)
        self.wait_traffic("the adopted host serves on")
        self.assertTrue(daemons.status(self.state, self.binaries)["blades"])


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
