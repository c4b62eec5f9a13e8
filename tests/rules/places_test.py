#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each planted fault finds the one place that it alters: whoever moves a protection is told at once, not by the hour
that planting all of them takes."""

import pathlib
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "unit/link")]
import bfd_planted_faults  # noqa: E402
import planter  # noqa: E402
import rules_taken_out  # noqa: E402


class Places(unittest.TestCase):
    def test_each_fault_alters_one_place(self):
        faults = [fault[:4] for fault in rules_taken_out.all_faults() + bfd_planted_faults.FAULTS]
        for name, path, good, bad in faults:
            with self.subTest(name):
                self.assertNotEqual(good, bad)
                try:
                    planter.altered(path, good, bad)
                except planter.Gone:
                    self.fail(f"what \"{name}\" takes out of {path} is not there, or twice: plant it anew")

    def test_no_two_have_one_name(self):
        names = [fault[0] for fault in rules_taken_out.all_faults()]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_each_rule_and_both_decisions_about_owners_have_faults(self):
        told = {fault[0].split(":")[0] for fault in rules_taken_out.all_faults()}
        self.assertEqual({str(rule) for rule in range(1, 26)} | {"D3", "D4"},
                         {word for word in told if not word.startswith("P")})


if __name__ == "__main__":
    unittest.main()
