#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ownership protocol's model (ownership.pml) is explored exhaustively with spin, and each bug planted in it is
found."""

import pathlib
import re
import subprocess
import tempfile
import unittest

MODEL = pathlib.Path(__file__).resolve().parent / "ownership.pml"
PLANTED = {name: int(number) for name, number in
           re.findall(r"^#define (\w+) (\d+)\s+/\*", MODEL.read_text(), re.MULTILINE)}


def search(*definitions):
    """What the search says: the model is made into a C program, which goes through all states."""
    with tempfile.TemporaryDirectory() as folder:
        def run(*command):
            return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        made = run("spin", "-a", *definitions, str(MODEL))
        if made.returncode != 0:
            raise AssertionError("spin: " + made.stdout + made.stderr)
        compiled = run("gcc", "-w", "-O2", "-DSAFETY", "-DCOLLAPSE", "-DNOFAIR", "-DMEMLIM=1500", "-o", "pan", "pan.c")
        if compiled.returncode != 0:
            raise AssertionError("gcc: " + compiled.stderr)
        return run("./pan", "-m100000").stdout


class OwnershipModel(unittest.TestCase):
    def test_no_state_has_two_owners_or_a_term_used_twice(self):
        said = search()
        self.assertIn("errors: 0", said)
        self.assertNotIn("Search not completed", said)
        self.assertNotIn("max search depth too small", said)
        print(re.search(r"\d+ states, stored", said.replace(",", "", 0)).group(0) if "states, stored" in said else said)

    def test_each_planted_bug_is_found(self):
        self.assertGreaterEqual(len(PLANTED), 6)
        for name, number in PLANTED.items():
            with self.subTest(name):
                self.assertRegex(search(f"-DPLANTED={number}"), r"errors: [1-9]")


if __name__ == "__main__":
    unittest.main()
