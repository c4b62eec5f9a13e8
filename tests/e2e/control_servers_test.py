# SPDX-License-Identifier: Apache-2.0
"""Three control-servers and their etcd, one of each on the standby: the leader dies in the middle of a takeover, and
another one dies with the standby, which had become an active."""
# Covers: control-server/edge/service_lead.cpp
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import GroupCase, ROLE, blades, daemons, say, until  # noqa: E402
from understudy_lab import control_servers  # noqa: E402

LEAD_S = 12  # the lease is four seconds; the rest is for a busy machine


class SeveralControlServers(GroupCase):
    options = {"control_servers": 3, "control_on_standby": True}

    def status(self):
        return daemons.status(self.state, self.binaries)

    def role(self, name=ROLE):
        """By the leader's word: to who follows it is unknown how they are."""
        told = []
        until(lambda: told.extend(role for role in self.status()["roles"]
                                  if role["state"] != "unknown" and role["role"] == name) or told,
              "a leader tells of the role", LEAD_S)
        return told[0]

    def leader(self):
        return control_servers.leader(self.state, self.status())

    def log(self, number):
        with open(self.state.log(control_servers.log_name(number)), encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_leader(self, wanted):
        since = time.monotonic()
        until(lambda: self.leader() in wanted, f"one of the control-servers {wanted} leads", LEAD_S)
        say(f"control-server {self.leader()} leads, after {time.monotonic() - since:.1f} s")

    def make_lead(self, number):
        """The others are killed, and come back."""
        for other in self.chassis.control_numbers:
            if other != number:
                control_servers.kill(self.state, other)
        self.wait_leader([number])
        for other in self.chassis.control_numbers:
            if other != number:
                control_servers.start(self.state, other, self.binaries)

    def test_no_takeover_is_lost_with_its_leader_and_the_standbys_own_is_none_too_many(self):
        self.leader_dies_in_a_takeover()
        self.wait_traffic("traffic through the mirror")
        self.standby = self.chassis.standby
        self.make_lead(3)
        self.move_to_the_standbys_host()
        self.finish_traffic()
        self.the_active_standby_dies_with_the_leader()
        self.it_comes_back()

    def leader_dies_in_a_takeover(self):
        leader = self.leader()
        if leader == 3:
            self.make_lead(1)
            self.wait_state("protected")
            leader = 1
        since, killed = time.time_ns(), threading.Event()

        def kill_in_the_middle():
            path, begun = self.state.log(control_servers.log_name(leader)), "state: taking-over"
            with open(path, encoding="utf-8", errors="replace") as file:
                file.seek(0, os.SEEK_END)
                while begun not in file.read():
                    killed.wait(0.001)
            control_servers.kill(self.state, leader)
            killed.set()
        threading.Thread(target=kill_in_the_middle, daemon=True).start()
        blades.power_off(self.state, self.active)
        say(f"{self.active} is powered off")
        self.assertTrue(killed.wait(10), "the leader sees the failure")
        say(f"control-server {leader} is killed in the middle of its takeover")
        self.assertNotIn("state: on-mirror", self.log(leader), "it had finished it: that was no middle")
        others = [number for number in self.chassis.control_numbers if number != leader]
        self.wait_leader(others)
        self.wait_state("on-mirror", 20)
        self.assertEqual(self.role()["term"], 2)
        self.wait_event(lambda event: event["kind"] == "leader" and " leads" in event["text"], "told in the log", since)
        control_servers.start(self.state, leader, self.binaries)

    def move_to_the_standbys_host(self):
        until(lambda: self.role()["state"] == "on-mirror", "the new leader knows the role", 20)
        since = self.order_move()
        self.wait_event(lambda event: event.get("phase") == "resume", "the movement", since)
        self.wait_state("on-host")
        self.wait_traffic("the host serves")

    def the_active_standby_dies_with_the_leader(self):
        if self.leader() != 3:  # a disk that kept etcd waiting for seconds has cost it the lead
            self.make_lead(3)
        term = self.role()["term"]
        blades.power_off(self.state, self.standby)
        say(f"{self.standby}, an active now, is powered off; the leader and a third of etcd were on it")
        self.wait_leader([1, 2])
        self.wait_state("lost", 20)
        self.assertEqual((self.role()["term"], self.role()["place"]["kind"]), (term, "host"))
        states = [server["state"] for server in self.status()["control_servers"]]
        self.assertEqual(sorted(states), ["absent", "follows", "leads"])
        self.assertEqual(self.status()["control_alarm"], "")

    def it_comes_back(self):
        term = self.role()["term"]
        blades.power_on(self.state, self.standby, self.binaries)
        until(lambda: self.role()["term"] != term, "its host-agent is heard: the role gets a new life", 30)
        self.wait_state("on-host", 30)
        self.assertEqual(self.role()["term"], term + 1, "one new life")
        self.assertEqual(self.role()["place"]["blade"], self.standby)
        say(f"{ROLE} is served again by {self.standby}")


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
