# SPDX-License-Identifier: Apache-2.0
"""Nothing but the power-off by IPMI allows the takeover: the blade's processes are frozen, so its kernel forwards on
under the role's addresses, and the switch refuses to isolate it. First its BMC hangs, too: nobody is activated. The BMC
answers again: the blade is powered off, its mirror takes over. Then the blade is booted by the same way."""
import os
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import ROLE, GroupCase, blades, daemons, say, until  # noqa: E402
from understudy_lab import bmcs, processes  # noqa: E402
from understudy_lab.errors import LabError  # noqa: E402
from understudy_lab.shell import in_network, run  # noqa: E402

REFUSING_SWITCH = """#!/bin/sh
verb=$1; shift
case $verb in
  status) for port; do echo "$port connected"; done;;
  isolate) echo "the port is locked by its administrator" >&2; exit 1;;
esac
"""


class OnlyPowerOff(GroupCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        command = os.path.join(directory.name, "switch")
        with open(command, "w", encoding="utf-8") as file:
            file.write(REFUSING_SWITCH)
        os.chmod(command, 0o755)
        self.options = {"fencing": "ipmi", "switch_command": [command], "power_deadline_ms": 2500}
        super().setUp()

    def test_is_evidence_enough_and_nothing_else_is(self):
        for what, process in self.traffic.running.items():
            if what.startswith("fresh-"):  # one that begins at a frozen blade is mirrored nowhere, and waits
                process.terminate()
        since = time.time_ns()
        bmc = self.state.read()["processes"][bmcs.name(self.active)]
        processes.send(bmc, signal.SIGSTOP)
        blades.signal_all(self.state, self.active, signal.SIGSTOP)
        say(f"{self.active} is frozen, and its BMC hangs")
        for trouble in ("cannot isolate blade-1", "cannot power off blade-1"):
            self.wait_event(lambda event: event["severity"] == "alarm" and trouble in event["text"],  # noqa: B023
                            trouble, since, 20)
        self.assertEqual(self.role()["state"], "taking-over")
        self.assertEqual(self.activations(since), [], "nobody was activated without evidence")
        self.wait_traffic("the old place forwards on: a second one would be two owners")
        processes.send(bmc, signal.SIGCONT)
        say("the BMC answers again")
        found = self.wait_event(lambda event: "stop-evidence" in event["text"], "evidence", since, 20)
        self.assertIn("stop-evidence: powered-off", found["text"])
        self.wait_state("on-mirror", 20)
        self.assertIsNone(blades.init_of(self.state, self.active), "every process of the blade is dead")
        self.assertEqual(self.state.read()["blades"][self.active]["off_by"], "BMC")
        self.wait_traffic("traffic through the mirror")
        self.boots_by_its_bmc()
        self.finish_traffic(fresh=False)

    def activations(self, since):
        return [event["text"] for event in self.stream.all if event["time_ns"] >= since
                and (event.get("phase") == "activate" or "stop-evidence" in event["text"])]

    def boots_by_its_bmc(self):
        since = time.time_ns()
        command = [os.path.join(self.binaries, "understudy-control-server"), "--config",
                   self.state.path("group.toml"), "--power", "on", self.active, "--reason", "a test"]
        with self.assertRaisesRegex(LabError, "understudy power on"):  # past the daemon and its log: no
            run(in_network(self.chassis.namespace_path("control"), command))
        said = daemons.operator(self.state, self.binaries, "power", "on", self.active, "--reason", "it is mended")
        self.assertIn("is being powered on", said)
        self.wait_event(lambda event: event["kind"] == "power" and "powered on as ordered" in event["text"],
                        "it is powered on", since, 20)
        self.assertIsNotNone(blades.init_of(self.state, self.active))

        def connected():
            known = {blade["blade"]: blade for blade in daemons.status(self.state, self.binaries)["blades"]}
            return known[self.active]["agent"] == "connected"
        until(connected, f"the host-agent of {self.active} is back", 20)
        self.assertEqual((self.role()["state"], self.role()["place"]["blade"]), ("on-mirror", self.standby), ROLE)
        say(f"{self.active} has booted; the role stays where it is")


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
