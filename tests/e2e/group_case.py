# SPDX-License-Identifier: Apache-2.0
"""A test case with a whole group: control-server, blades, a mirror in QEMU, the demo's traffic through its role. Taken
down whatever happens; the logs of a failed one are kept."""
import os
import secrets
import sys
import time
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(REPOSITORY, "lab"))

from understudy_demo import memory, report  # noqa: E402
from understudy_demo.events import EventStream  # noqa: E402
from understudy_demo.scenario import place_of  # noqa: E402
from understudy_demo.traffic import Traffic  # noqa: E402
from understudy_lab import blades, daemons, lab  # noqa: E402
from understudy_lab.shell import run  # noqa: E402
from understudy_lab.topology import HTTP_PORT  # noqa: E402
from understudy_lab.waiting import until  # noqa: E402,F401

ROLE = "role-1"
STARTED = time.monotonic()


def say(text):
    print(f"{time.monotonic() - STARTED:7.1f} s  {text}", flush=True)


class GroupCase(unittest.TestCase):
    """One active unless a test wants more, one standby, policy manual: nothing moves but on the test's word."""
    actives = 1
    options = {}
    has_traffic = True

    def setUp(self):
        name = "g" + secrets.token_hex(3)
        self.binaries = lab.binaries()
        self.addCleanup(lab.down, name)
        self.state = lab.up(name, self.actives, {"policy": "manual"} | self.options, say)
        self.chassis = self.state.chassis
        self.active, self.standby = self.chassis.blade(1), self.chassis.standby
        self.stream = EventStream(self.state, self.binaries, lambda event: None)
        self.addCleanup(self.stream.close)
        if self.has_traffic:
            self.start_traffic()

    def start_traffic(self):
        self.traffic = Traffic(self.state, self.binaries, 8_000_000)
        self.traffic.start_captures()
        self.traffic.start_servers()
        self.traffic.start_clients()
        self.traffic.wait_flowing()
        until(lambda: all(self.transfers_through(blade) >= 4 for blade in self.chassis.active_blades),
              "every transfer has its connection")
        say("traffic flows")

    def tearDown(self):
        result = self._outcome.result
        if any(test is self and error for test, error in result.errors + result.failures):
            for event in self.stream.all:  # a machine that nobody can look at afterwards has only this to tell
                print(f"{event['time_ns'] / 1e9:.3f}", event["kind"], event.get("role") or event.get("blade") or "",
                      event.get("phase") or "", event["text"], flush=True)
            say(f"logs are kept in {lab.keep_logs(self.state)}")

    # --- what is seen ---
    def role(self, name=ROLE):
        return next(role for role in daemons.status(self.state, self.binaries)["roles"] if role["role"] == name)

    def wait_state(self, wanted, seconds=60, name=ROLE):
        seen = []

        def reached():
            role = self.role(name)
            text = f"{role['state']} at {place_of(role)}, mirror {role.get('mirror_phase')}, {role.get('detail')}"
            if not seen or seen[-1] != text:
                seen.append(text)
                say(f"{name}: {text}" if self.actives > 1 else text)
            return role["state"] == wanted
        try:
            until(reached, f"{name} is {wanted}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; seen: {seen}") from None

    def wait_event(self, matches, what, since_ns, seconds=60):
        found = []

        def arrived(events):
            found[:] = [event for event in events if event["time_ns"] >= since_ns and matches(event)]
            return bool(found)
        self.assertTrue(self.stream.wait(arrived, seconds), f"not within {seconds} s: {what}")
        return found[0]

    def wait_traffic(self, what, seconds=30, name=ROLE):
        """The probe is answered from now on, and sessions make progress."""
        since = time.time_ns()
        until(lambda: len([at for at in self.traffic.arrivals(name)[-200:] if at > since]) > 100, what, seconds)

    def transfers_through(self, blade):
        """Established connections in the kernel of a blade. A flow that begins after its collector died is not
        mirrored, so nothing is disturbed before."""
        flows = 0
        for family in ("ipv4", "ipv6"):
            command = ["conntrack", "-L", "-f", family, "-p", "tcp", "--dport", str(HTTP_PORT), "--state",
                       "ESTABLISHED"]
            flows += min(run(blades.inside(self.state, blade, command)).count("ESTABLISHED"), 2)
        return flows

    # --- what is done ---
    def take_over(self):
        since = time.time_ns()
        blades.power_off(self.state, self.active)
        say(f"{self.active} is powered off")
        self.wait_event(lambda event: event.get("phase") == "activate", "the takeover", since, 20)
        self.wait_state("on-mirror")
        if self.has_traffic:
            self.wait_traffic("traffic through the mirror")

    def order_move(self):
        since = time.time_ns()
        daemons.operator(self.state, self.binaries, "move", ROLE, "--reason", "a test")
        return since

    def run_directory(self):
        return blades.run_directory(self.state, self.standby)

    def drill(self, *words):
        """What lab/drill does at the next movement: the point, then what is done there."""
        with open(os.path.join(self.run_directory(), "drill"), "w", encoding="utf-8") as file:
            file.write(" ".join(words))

    def drill_log(self):
        with open(os.path.join(self.run_directory(), "drill-frozen.log"), encoding="utf-8") as file:
            return file.read().strip()

    def guests(self):
        return memory.guests(self.state)

    def finish_traffic(self, fresh=True):
        """Everything that was promised about traffic: nothing reset, lost or owned twice, every hash equal. `fresh`:
        nor did a new connection fail."""
        self.assertEqual(self.traffic.finish(90), [])
        for one in self.traffic.transfers():
            self.assertEqual(report.wrong_transfer(one), [], one)
        for one in self.traffic.sessions():
            self.assertEqual((one["lost"], one["went_back"], one["counted_twice"], one["error"]), (0, 0, 0, ""), one)
            self.assertEqual(one["undone_ns"], [], one)
            self.assertGreater(one["kept"], 0)
        for node, capture in self.traffic.captures().items():
            self.assertEqual(capture["violations"], [], node)
        self.assertEqual(self.traffic.lost_packets(), [])
        if fresh:
            for role in self.chassis.roles:
                self.assertEqual(self.traffic.fresh(role)["failed"], 0, role)
