#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ownership protocol's model (ownership.pml) is explored exhaustively with spin, and each bug planted in it is
found. With --full also what takes minutes."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

MODEL = pathlib.Path(__file__).resolve().parent / "ownership.pml"
DEFINED = MODEL.read_text()


def numbers(section):
    return {name: int(number) for name, number in re.findall(r"^#define ([A-Z_]+) (\d+) +/\*", section, re.MULTILINE)}


BEFORE_KINDS, KINDS_ON = DEFINED.split("/* kinds of failures")
PLANTED = numbers(BEFORE_KINDS)
KINDS = numbers(KINDS_ON)
ALL = sum(KINDS.values())
LEASE_FAILS = KINDS["FREEZE"] | KINDS["CRASH"] | KINDS["SWITCH"]

# roles, kinds of failures, how many of them in one history, leases, movements, switchovers
ORDINARY = [
    (1, ALL, 2, 0, 1, 1),
    (1, ALL, 2, 1, 1, 0),
    (1, LEASE_FAILS, 3, 1, 0, 0),
    (2, ALL, 1, 0, 1, 1),
    (2, ALL, 1, 1, 0, 0),
    (2, ALL, 2, 0, 0, 0),
]
FULL = [
    (1, ALL, 2, 1, 1, 1),
    (1, ALL, 3, 0, 0, 0),
    (1, ALL, 3, 0, 1, 0),
    (2, ALL, 2, 0, 1, 0),
]
# One failure without leases finds most; what finds the others.
FOUND_BY = {
    "OLD_ISOLATION": (1, ALL, 2, 0, 0, 0),
    "CLOSING_IS_CLEAR": (1, KINDS["CUT"] | KINDS["CRASH"] | KINDS["SLOW"], 2, 0, 0, 1),
    "LEASED_EARLY": (1, LEASE_FAILS, 2, 1, 0, 0),
    "COUNT_EARLY": (1, LEASE_FAILS, 2, 1, 0, 0),
    "DISARM_FIRST": (1, LEASE_FAILS, 3, 1, 0, 1),
    "STALE_STOPPED": (1, LEASE_FAILS, 3, 0, 0, 0),
}


class OwnershipModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        for roles in (1, 2):
            cls.run_in_folder("spin", "-a", f"-DROLES={roles}", str(MODEL))
            table = pathlib.Path(cls.folder.name) / "pan.t"  # runs once, and costs nearly all of the compiler's time
            table.write_text(table.read_text().replace(
                "\nsettable(void)", '\n__attribute__((optimize("O0"))) settable(void)', 1))
            cls.run_in_folder("gcc", "-w", "-O1", "-DSAFETY", "-DCOLLAPSE", "-DNOFAIR", "-DMEMLIM=4000", "-o",
                              f"pan{roles}", "pan.c")

    @classmethod
    def run_in_folder(cls, *command, **environment):
        done = subprocess.run(command, cwd=cls.folder.name, capture_output=True, text=True, check=False,
                              env={**os.environ, **environment})
        if done.returncode != 0 and "errors: " not in done.stdout:
            raise AssertionError(" ".join(command) + ": " + done.stdout + done.stderr)
        return done.stdout

    def search(self, explored, planted=0):
        """What the search says of all states: without bitstate hashing, nothing is left out."""
        roles, kinds, failures, leases, moves, hands = explored
        return self.run_in_folder(f"./pan{roles}", "-m20000", "-w22", KINDS=str(kinds), FAILURES=str(failures),
                                  LEASES=str(leases), MOVES=str(moves), HANDS=str(hands), PLANTED=str(planted))

    def explore_all(self, list_of_explored):
        for explored in list_of_explored:
            with self.subTest(explored):
                said = self.search(explored)
                self.assertTrue("errors: 0" in said, said.split("Search not")[0])
                self.assertNotIn("Search not completed", said)
                self.assertNotIn("max search depth too small", said)
                states = re.search(r"(\d+) states, stored", said)
                took = re.search(r"elapsed time ([\d.]+)", said)
                print(explored, states.group(1), "states,", took.group(1), "s", flush=True)

    def test_no_state_has_two_owners_or_a_term_used_twice(self):
        self.explore_all(ORDINARY)

    @unittest.skipUnless("--full" in sys.argv, "takes minutes: --full")
    def test_nor_with_more_failures(self):
        self.explore_all(FULL)

    def test_each_planted_bug_is_found(self):
        self.assertGreaterEqual(len(PLANTED), 20)
        self.assertEqual(sorted(PLANTED.values()), list(range(1, len(PLANTED) + 1)))
        for name, number in PLANTED.items():
            with self.subTest(name):
                said = self.search(FOUND_BY.get(name, (1, ALL, 1, 0, 1, 1)), number)
                self.assertTrue(re.search(r"errors: [1-9]", said), "it is not found")
                self.assertFalse(re.search(r"violated \(+(!q_full|newTerm|lease)", said), "a bound was met")


if __name__ == "__main__":
    unittest.main(argv=[one for one in sys.argv if one != "--full"])
