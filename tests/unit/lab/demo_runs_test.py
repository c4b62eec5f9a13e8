# SPDX-License-Identifier: Apache-2.0
"""Several runs of the demo and what is left of them when one fails. What a run does itself is not the matter here."""
import contextlib
import io
import json
import os
import signal
import tempfile
import unittest
from unittest import mock

import python_path  # noqa: F401
from report_test import seen
from understudy_demo import cli, report, schema
from understudy_lab.errors import LabError
from understudy_lab.interrupts import Interrupted
from understudy_lab.topology import Chassis


def good():
    return report.build(Chassis("demo", 3), seen()), []


class Runs(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = os.path.join(directory.name, "report.json")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def run_demo(self, *outcomes):
        """(status, printed, report) of a demo whose runs end so: with a report and a verdict, or with an error."""
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(cli, "one_run", side_effect=outcomes), mock.patch.object(cli.lab, "down") as down, \
             contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), \
             mock.patch.object(cli, "Timeline", lambda: real_timeline(out)):
            self.status = cli.main(["--runs", str(max(len(outcomes), 2)), "--name", "unit-runs", "--report", self.file])
        self.downs, self.printed = down.call_count, out.getvalue() + err.getvalue()
        if not os.path.exists(self.file):
            return None
        with open(self.file, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(schema.problems(told, schema.load()), [])
        return told

    def test_each_run_is_a_line_and_the_end_has_the_spread(self):
        told = self.run_demo(good(), good())
        self.assertEqual((self.status, len(told["runs"])), (0, 2))
        self.assertIn("run 2: passed; largest gap of role-2: 60.0 ms at the takeover, ", self.printed)
        for key in ("takeover_gap_ms", "movement_gap_ms", "freeze_ms"):
            self.assertRegex(self.printed, key + r" +\d+\.\d +\d+\.\d +\d+\.\d\n")

    def test_a_run_that_fails_leaves_the_report_of_those_before_it(self):
        told = self.run_demo(good(), good(), LabError("blade-1 does not start\nmore of it"))
        self.assertEqual((self.status, self.downs), (1, 3))
        self.assertEqual(told["runs"][2], {"error": "blade-1 does not start\nmore of it"})
        self.assertEqual(told["summary"]["takeover_gap_ms"]["median"], 60)
        self.assertIn("run 3: FAILED: blade-1 does not start\n", self.printed)
        self.assertIn("1 runs failed", self.printed)

    def test_no_run_follows_one_that_failed(self):
        told = self.run_demo(good(), LabError("broken"), good())
        self.assertEqual((self.status, len(told["runs"])), (1, 2))

    def test_a_broken_promise_is_a_run_like_others_and_fails_all(self):
        told = self.run_demo((good()[0], ["late"]), good())
        self.assertEqual((self.status, len(told["runs"])), (1, 2))
        self.assertIn("run 1: FAILED (1 of the promises); largest gap", self.printed)

    def test_an_interrupted_run_leaves_the_report_too(self):
        told = self.run_demo(good(), Interrupted(signal.SIGTERM))
        self.assertEqual((self.status, self.downs), (143, 2))
        self.assertEqual(told["runs"][1], {"error": "ended by SIGTERM"})

    def test_a_bug_keeps_its_traceback_and_leaves_the_report_too(self):
        with self.assertRaises(ZeroDivisionError):
            self.run_demo(good(), ZeroDivisionError("bug"))
        with open(self.file, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["runs"][1], {"error": "bug"})

    def test_where_nothing_was_started_nothing_is_taken_down_or_reported(self):
        self.assertIsNone(self.run_demo(LabError("lab is up", 2)))
        self.assertEqual((self.status, self.downs), (2, 0))

    def test_a_second_run_that_cannot_start_is_a_failure_and_no_misuse(self):
        told = self.run_demo(good(), LabError("lab is up", 2))
        self.assertEqual((self.status, self.downs, told["runs"][1]), (1, 1, {"error": "lab is up"}))


real_timeline = cli.Timeline

if __name__ == "__main__":
    unittest.main()
