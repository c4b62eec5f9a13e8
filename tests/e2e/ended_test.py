# SPDX-License-Identifier: Apache-2.0
"""A demo or a lab that is ended from outside while its guests run: by a signal that it can answer it takes everything
down itself, after SIGKILL `down` does."""
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(REPOSITORY, "lab"))
from understudy_demo import memory  # noqa: E402
from understudy_lab import lab, processes  # noqa: E402
from understudy_lab.errors import LabError  # noqa: E402
from understudy_lab.state import State  # noqa: E402
from understudy_lab.waiting import until  # noqa: E402

LAB, DEMO = (os.path.join(REPOSITORY, "lab", name) for name in ("understudy-lab", "understudy-demo"))
STARTED = time.monotonic()


def say(text):
    print(f"{time.monotonic() - STARTED:7.1f} s  {text}", flush=True)


def shared_memory():
    return sorted(entry for entry in os.listdir("/dev/shm") if entry.startswith("understudy"))


class Ended(unittest.TestCase):
    def setUp(self):
        self.name = "k" + secrets.token_hex(3)
        self.addCleanup(lab.down, self.name)
        self.state, self.before = State(self.name), shared_memory()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def start(self, *command):
        """In a session of its own, as a service or a closed terminal would end it; kept logs go with the test."""
        with open(os.path.join(self.directory, "said"), "wb") as said:
            process = subprocess.Popen([*command, "--name", self.name], stdout=said, stderr=said,
                                       start_new_session=True, env=os.environ | {"TMPDIR": self.directory})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def said(self):
        with open(os.path.join(self.directory, "said"), encoding="utf-8") as file:
            return file.read()

    def guests(self):
        try:
            return memory.guests(self.state)
        except LabError:
            return []  # not that far yet

    def wait_for(self, process, condition, what):
        until(lambda: condition() or process.poll() is not None, what, 60)
        self.assertIsNone(process.poll(), self.said())
        chassis = self.state.chassis
        self.inside = [processes.identity(pid) for pid in processes.in_namespaces(
            [chassis.namespace_path(node) for node in chassis.nodes])]
        say(f"{what}: {len(self.inside)} processes, {len(self.guests())} guests")
        self.assertGreater(len(self.guests()), 0)

    def check_nothing_is_left(self):
        self.assertEqual([known for known in self.inside if processes.is_alive(known)], [])
        self.assertEqual([entry for entry in lab.namespace_names() if lab.belongs(entry, self.name)], [])
        self.assertFalse(self.state.exists)
        self.assertEqual(shared_memory(), self.before)
        with open("/proc/mounts", encoding="utf-8") as mounts:
            self.assertNotIn(f"us-{self.name}-", mounts.read())

    def end(self, process, number):
        """Twice: an impatient second signal must not break the taking down off."""
        process.send_signal(number)
        until(lambda: "taking down" in self.said() or "logs are kept" in self.said() or process.poll() is not None,
              "it takes down")
        if process.poll() is None:
            process.send_signal(number)
        self.assertEqual(process.wait(30), 128 + number, self.said())
        self.assertNotIn("Traceback", self.said())
        self.assertIn(f"ended by {number.name}", self.said())
        say(f"ended by {number.name}")
        self.check_nothing_is_left()

    def up_until_guests_run(self):
        process = self.start(LAB, "up", "--actives", "1")
        self.wait_for(process, self.guests, "guests run, nothing is protected")
        return process

    def demo_until_traffic_flows(self, *more):
        process = self.start(DEMO, "--actives", "1", *more)
        self.wait_for(process, lambda: "undisturbed for" in self.said(), "traffic flows")
        return process

    def test_a_lab_that_comes_up_ends_in_order(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with self.subTest(number.name):
                self.end(self.up_until_guests_run(), number)

    def test_a_demo_ends_in_order_and_its_report_says_so(self):
        report = os.path.join(self.directory, "report.json")
        self.end(self.demo_until_traffic_flows("--report", report), signal.SIGTERM)
        with open(report, encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"error": "ended by SIGTERM"})

    def down(self, process):
        process.kill()
        process.wait()
        say("killed")
        self.assertTrue(any(processes.is_alive(known) for known in self.inside), "it left something to take down")
        done = subprocess.run([LAB, "down", "--name", self.name], capture_output=True, text=True, check=True)
        say(done.stdout.strip())
        self.check_nothing_is_left()

    def test_down_after_a_lab_was_killed_while_it_came_up(self):
        self.down(self.up_until_guests_run())

    def test_down_after_a_demo_was_killed_under_traffic(self):
        self.down(self.demo_until_traffic_flows())


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
