# SPDX-License-Identifier: Apache-2.0
"""The whole standby dies: the actives serve on, and every status says that they are exposed."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import GroupCase, blades, daemons, say  # noqa: E402


class StandbyDies(GroupCase):
    def test_the_active_serves_on_and_is_exposed(self):
        self.wait_state("protected")
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
        self.finish_traffic()


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
