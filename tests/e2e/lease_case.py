# SPDX-License-Identifier: Apache-2.0
"""A group in which nothing but a lease can be stop-evidence: the switch refuses to isolate, the power unit to power
off."""
import os
import tempfile

from group_case import ROLE, GroupCase, daemons, say, until

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


class LeaseCase(GroupCase):
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
        for what, process in self.traffic.running.items():
            if what.startswith("fresh-"):  # one that begins at a frozen blade is mirrored nowhere, and waits
                process.terminate()
        self.wait_lease("armed")

    def wait_lease(self, wanted, seconds=30):
        until(lambda: self.role()["lease"] == wanted, f"the lease is {wanted}", seconds)
        say(f"the lease is {wanted}")

    def arrivals_since(self, since):
        return [at for at in self.traffic.arrivals(ROLE) if at > since]

    def is_refused(self, since):
        self.wait_event(lambda event: event["severity"] == "alarm" and "cannot isolate blade-1" in event["text"],
                        "the refusal is an alarm", since, 20)
        self.wait_event(lambda event: event["severity"] == "alarm" and "cannot power off blade-1" in event["text"]
                        and "outlet 7 is locked" in event["text"], "and the power unit's is one", since, 20)
        say("the switch refuses, and the power unit, too")

    def is_counted_out(self, stopped_at):
        """`stopped_at`: from when on the active's host-agent did nothing."""
        told = self.wait_event(lambda event: "grants no more" in event["text"], "the mirror's word", stopped_at, 30)
        self.wait_lease("counting")
        found = self.wait_event(lambda event: "stop-evidence" in event["text"], "evidence", stopped_at, 30)
        self.assertIn("stop-evidence: lease-ran-out", found["text"])
        self.assertGreaterEqual(found["time_ns"] - told["time_ns"], COUNTED_S * SECOND - SECOND // 100)
        self.wait_state("on-mirror", 20)
        self.wait_traffic("traffic through the mirror")
        arrivals = self.arrivals_since(stopped_at)
        old = [at for at in arrivals if at < found["time_ns"]]
        self.assertTrue(old, "the blade forwarded on: there was something to close")
        self.assertLess(old[-1] - stopped_at, (ELEMENT_S + 1) * SECOND, "its gate has closed by itself")
        say(f"silent after {(old[-1] - stopped_at) / SECOND:.2f} s; served again after "
            f"{(arrivals[len(old)] - stopped_at) / SECOND:.2f} s")

    def stays_silent_when_it_is_back(self, since):
        self.wait_event(lambda event: f"{self.active} is back" in event["text"],
                        "its host-agent says what it holds", since, 30)
        known = {blade["blade"]: blade for blade in daemons.status(self.state, self.binaries)["blades"]}
        self.assertFalse(known[self.active]["isolated"])
        self.wait_traffic("the mirror serves on")
        self.assertGreater(len(self.arrivals_since(since)), 0)
