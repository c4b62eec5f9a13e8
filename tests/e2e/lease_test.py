# SPDX-License-Identifier: Apache-2.0
"""Nothing but a lease allows the takeover: the active is frozen, so its kernel forwards on under the role's addresses,
the switch refuses to isolate it, its power unit to power it off. Its gate closes by itself; the mirror serves only
after it has said that it grants no more and the lease was counted out, not while it cannot be asked; the thawed
active does not open its gate again. Before: a mirror that hangs does not silence its healthy active."""
import os
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import ROLE, GroupCase, blades, daemons, say, until  # noqa: E402
from understudy_lab import processes  # noqa: E402

ELEMENT_S, COUNTED_S = 2, 8  # how long the gate stays open without grants; how long it is counted out
SECOND = 1_000_000_000
# While `hangs` is there an isolation waits, for less than the control-server's deadline.
REFUSING_SWITCH = """#!/bin/sh
verb=$1; shift
case $verb in
  status) for port; do echo "$port connected"; done;;
  isolate) while [ -e "$(dirname "$0")/hangs" ]; do sleep 0.05; done
           echo "the port is locked by its administrator" >&2; exit 1;;
esac
"""
# The unit answers, and does not obey.
REFUSING_POWER = """#!/bin/sh
[ "$1" = status ] && { echo on; exit 0; }
echo "outlet 7 is locked by its administrator" >&2; exit 1
"""


class OnlyALease(GroupCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.hangs = os.path.join(directory.name, "hangs")
        commands = {}
        for name, text in (("switch", REFUSING_SWITCH), ("power", REFUSING_POWER)):
            commands[name] = [os.path.join(directory.name, name)]
            with open(commands[name][0], "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(commands[name][0], 0o755)
        self.options = {"leases": True, "power_command": commands["power"], "switch_command": commands["switch"]}
        super().setUp()

    def test_is_evidence_when_it_was_counted_out(self):
        for what, process in self.traffic.running.items():
            if what.startswith("fresh-"):  # one that begins at a frozen blade is mirrored nowhere, and waits
                process.terminate()
        self.wait_lease("armed")
        self.a_mirror_that_hangs_does_not_silence_its_active()
        frozen = self.freeze_the_active_and_its_mirror()
        self.a_mirror_that_cannot_be_asked_is_no_evidence(frozen)
        self.it_is_counted_out(frozen)
        self.the_thawed_active_stays_silent()
        self.finish_traffic(fresh=False)

    def wait_lease(self, wanted, seconds=30):
        until(lambda: self.role()["lease"] == wanted, f"the lease is {wanted}", seconds)
        say(f"the lease is {wanted}")

    def signal_mirror(self, number):
        guests = self.guests()
        self.assertEqual(len(guests), 1)
        self.assertTrue(processes.send(processes.identity(guests[0]), number))

    def a_mirror_that_hangs_does_not_silence_its_active(self):
        since = time.time_ns()
        self.signal_mirror(signal.SIGSTOP)
        say("the mirror hangs")
        until(lambda: self.role()["lease"] != "armed", "the role is exposed without grants", 10)
        until(lambda: time.time_ns() > since + 3 * ELEMENT_S * SECOND and self.arrivals_since(since)[-1:] >
              [since + 3 * ELEMENT_S * SECOND], "the active serves on without grants", 4 * ELEMENT_S + 5)
        arrivals = [since, *self.arrivals_since(since)]
        self.assertLess(max(b - a for a, b in zip(arrivals, arrivals[1:])), SECOND, "its gate was never closed")
        self.signal_mirror(signal.SIGCONT)
        say("the mirror goes on")
        self.wait_state("protected", 60)
        self.wait_lease("armed")

    def arrivals_since(self, since):
        return [at for at in self.traffic.arrivals(ROLE) if at > since]

    def freeze_the_active_and_its_mirror(self):
        with open(self.hangs, "w", encoding="utf-8"):
            pass
        frozen = time.time_ns()
        blades.signal_all(self.state, self.active, signal.SIGSTOP)
        say(f"{self.active} is frozen, and the switch does not answer")
        self.wait_event(lambda event: event["kind"] == "state" and "taking-over" in event["text"], "a takeover begins",
                        frozen, 10)
        self.signal_mirror(signal.SIGSTOP)
        os.unlink(self.hangs)
        say("the mirror hangs, and the switch refuses")
        self.wait_event(lambda event: event["severity"] == "alarm" and "cannot isolate blade-1" in event["text"],
                        "the refusal is an alarm", frozen, 20)
        self.wait_event(lambda event: event["severity"] == "alarm" and "cannot power off blade-1" in event["text"]
                        and "outlet 7 is locked" in event["text"], "and the power unit's is one", frozen, 20)
        say("the power unit refuses, too")
        return frozen

    def evidence(self, events, since):
        return [event["text"] for event in events if event["time_ns"] >= since
                and (event.get("phase") == "activate" or "stop-evidence" in event["text"])]

    def a_mirror_that_cannot_be_asked_is_no_evidence(self, frozen):
        self.wait_lease("stopping")
        self.assertFalse(self.stream.wait(lambda events: self.evidence(events, frozen), COUNTED_S + ELEMENT_S),
                         "nobody was activated by a lease that nobody has stopped")
        role = self.role()
        self.assertEqual((role["state"], role["place"]["blade"], role["lease"]),
                         ("taking-over", self.active, "stopping"))
        self.assertIn("cannot isolate", role["detail"])

    def it_is_counted_out(self, frozen):
        self.signal_mirror(signal.SIGCONT)
        say("the mirror goes on")
        stopped = self.wait_event(lambda event: "grants no more" in event["text"], "the mirror's word", frozen, 30)
        self.wait_lease("counting")
        found = self.wait_event(lambda event: "stop-evidence" in event["text"], "evidence", frozen, 30)
        self.assertIn("stop-evidence: lease-ran-out", found["text"])
        self.assertGreaterEqual(found["time_ns"] - stopped["time_ns"], COUNTED_S * SECOND - SECOND // 100)
        self.wait_state("on-mirror", 20)
        self.wait_traffic("traffic through the mirror")
        arrivals = self.arrivals_since(frozen)
        old = [at for at in arrivals if at < found["time_ns"]]
        self.assertTrue(old, "the frozen blade forwarded on: there was something to close")
        self.assertLess(old[-1] - frozen, (ELEMENT_S + 1) * SECOND, "its gate has closed by itself")
        say(f"silent {(old[-1] - frozen) / SECOND:.2f} s after the freeze; served again after "
            f"{(arrivals[len(old)] - frozen) / SECOND:.2f} s")

    def the_thawed_active_stays_silent(self):
        since = time.time_ns()
        blades.signal_all(self.state, self.active, signal.SIGCONT)
        say(f"{self.active} is thawed; the switch has not isolated it")
        self.wait_event(lambda event: f"{self.active} is back" in event["text"],
                        "its host-agent says what it holds", since, 30)
        known = {blade["blade"]: blade for blade in daemons.status(self.state, self.binaries)["blades"]}
        self.assertFalse(known[self.active]["isolated"])
        self.wait_traffic("the mirror serves on")
        self.assertGreater(len(self.arrivals_since(since)), 0)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
