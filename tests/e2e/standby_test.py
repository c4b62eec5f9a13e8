# SPDX-License-Identifier: Apache-2.0
"""The whole standby dies: the actives serve on, and every status says that they are exposed. It boots again and they
are protected. Before: an endless command in a mirror's shell does not keep the next one out."""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import REPOSITORY, GroupCase, blades, daemons, say  # noqa: E402


class StandbyDies(GroupCase):
    def test_the_active_serves_on_and_is_exposed(self):
        self.wait_state("protected")
        self.an_endless_command_ends_with_its_person()
        before, since = self.role(), time.time_ns()
        blades.power_off(self.state, self.standby)
        say(f"{self.standby} is powered off")
        self.wait_state("exposed", 30)
        self.wait_traffic("the active serves on")
        after = self.role()
        self.assertEqual((after["place"], after["term"]), (before["place"], before["term"]))
        self.assertIn("exposed", daemons.operator(self.state, self.binaries, "status"))
        self.assertEqual([event["text"] for event in self.stream.all if event["time_ns"] >= since
                          and event.get("phase") in ("isolate", "activate")], [], "nobody was isolated or activated")
        blades.power_on(self.state, self.standby, self.binaries)
        say(f"{self.standby} boots again")
        self.wait_state("protected", 90)
        self.finish_traffic()

    def an_endless_command_ends_with_its_person(self):
        tool = os.path.join(REPOSITORY, "lab", "understudy-lab")
        command = [tool, "exec", "--name", self.state.name, "mirror-1", "--"]
        with subprocess.Popen([*command, "yes"], stdout=subprocess.PIPE) as endless:
            self.assertEqual(endless.stdout.readline(), b"y\n")
            endless.kill()
        done = subprocess.run([*command, "pidof yes || echo nobody"], capture_output=True, text=True, timeout=30,
                              check=False)
        self.assertEqual(done.stdout.strip(), "nobody", done.stderr)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
