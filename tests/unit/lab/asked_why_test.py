# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal who orders something and gives no reason is asked for one."""
import os
import pty
import select
import subprocess
import time
import unittest

import python_path  # noqa: F401  (tests of this folder find the lab by it)

BUILD = os.environ.get("UNDERSTUDY_BUILD", "")
PROGRAM = os.path.join(BUILD, "bin", "understudy")


@unittest.skipUnless(os.path.exists(PROGRAM), "SKIPPED, NOT PASSED: understudy is not built")
class AskedWhy(unittest.TestCase):
    def order(self, answer, *command):
        """Exit status and what the terminal shows; `answer` is typed when it asks."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        running = subprocess.Popen([PROGRAM, "--plain-text", "--control", "127.0.0.1:1", *command], stdin=theirs,
                                   stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown, until, typed = b"", time.monotonic() + 20, answer is None
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    more = os.read(ours, 4096)
                except OSError:  # the other end is closed
                    break
                shown += more
            if not typed and b"why (" in shown:
                os.write(ours, answer.encode() + b"\n")
                typed = True
        return running.wait(20), shown.decode()

    def test_what_is_typed_is_the_reason(self):
        for command in (("move", "role-1"), ("policy", "manual")):
            status, shown = self.order("its fan", *command)
            self.assertEqual(status, 1)
            self.assertIn("cannot be reached", shown, "it was asked for, and then ordered")

    def test_who_says_nothing_stops_nothing(self):
        status, shown = self.order(" ", "switchover", "role-1")
        self.assertEqual(status, 2)
        self.assertIn("say why", shown)

    def test_who_gave_one_is_not_asked(self):
        self.assertNotIn("why (", self.order(None, "move", "role-1", "--reason", "its fan")[1])
        self.assertNotIn("why (", self.order(None, "status")[1])


if __name__ == "__main__":
    unittest.main()
