# SPDX-License-Identifier: Apache-2.0
"""A chassis of one active and a standby, nothing of the product on it: what the lab promises about blades, cables."""
# Covers: lab/init/lab_init.cpp
import os
import secrets
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from lab_case import LabCase, REPOSITORY, blades, lab, processes, run, until  # noqa: E402
from understudy_lab import daemons, namespaces, switch  # noqa: E402
from understudy_lab.errors import LabError  # noqa: E402
from understudy_lab.shell import in_network  # noqa: E402
from understudy_lab.state import State  # noqa: E402


def traces(name):
    """Whatever of a lab can be found on the machine."""
    found = [entry for entry in lab.namespace_names() if entry.startswith(f"us-{name}-")]
    found += [path for path in (State(name).directory,) if os.path.exists(path)]
    for pid in processes.all_pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(f"us-{name}-".encode() in word for word in words) and processes.start_time(pid) is not None:
            found.append(f"process {pid}: {words}")
    return found


class DownLeavesNothing(unittest.TestCase):
    def setUp(self):
        self.name = "t" + secrets.token_hex(3)
        self.addCleanup(lab.down, self.name)

    def test_after_an_ordinary_life(self):
        lab.up(self.name, 2, {"daemons": False}, lambda text: None)
        self.assertNotEqual(traces(self.name), [])
        lab.down(self.name)
        self.assertEqual(traces(self.name), [])

    def test_after_the_lab_forgot_everything(self):
        state = lab.up(self.name, 1, {"daemons": False}, lambda text: None)
        # A process that nobody wrote down, as after a crash between start and note.
        left = subprocess.Popen(in_network(state.chassis.namespace_path("server"), ["sleep", "600"]))
        self.addCleanup(left.wait)
        os.unlink(state.file)
        lab.down(self.name)
        self.assertEqual(left.wait(10), -signal.SIGKILL)
        self.assertEqual(traces(self.name), [])

    def test_after_a_crash_at_any_step_of_up(self):
        steps = ["create_all", "connect", "configure"]
        for step in steps:
            with self.subTest(step):
                # A lab that dies by SIGKILL inside this step.
                program = (f"import sys; sys.path.insert(0, {os.path.join(REPOSITORY, 'lab')!r}); import os, signal\n"
                           "from understudy_lab import lab, namespaces\n"
                           f"old = namespaces.{step}\n"
                           f"def die(*arguments): old(*arguments); os.kill(os.getpid(), signal.SIGKILL)\n"
                           f"namespaces.{step} = die\n"
                           f"lab.up({self.name!r}, 1, {{'daemons': False}}, lambda text: None)\n")
                died = subprocess.run([sys.executable, "-c", program], check=False)
                self.assertEqual(died.returncode, -signal.SIGKILL)
                self.assertNotEqual(traces(self.name), [])
                lab.down(self.name)
                self.assertEqual(traces(self.name), [])

    def test_a_second_lab_of_the_same_name_is_refused_and_the_first_stays(self):
        state = lab.up(self.name, 1, {"daemons": False}, lambda text: None)
        with self.assertRaises(LabError) as refused:
            lab.up(self.name, 1, {"daemons": False}, lambda text: None)
        self.assertEqual(refused.exception.status, 2)
        self.assertIsNotNone(blades.init_of(state, "blade-1"))

    def test_two_labs_side_by_side_do_not_touch_each_other(self):
        other = self.name + "-b"
        self.addCleanup(lab.down, other)
        lab.up(self.name, 1, {"daemons": False}, lambda text: None)
        state = lab.up(other, 1, {"daemons": False}, lambda text: None)
        lab.down(self.name)
        self.assertEqual([trace for trace in traces(self.name) if f"us-{other}-" not in str(trace)], [])
        self.assertIsNotNone(blades.init_of(state, "blade-1"))
        self.assertIsNotNone(blades.init_of(state, "blade-2"))


class Blades(LabCase):
    def ping(self, node, address, count=1):
        done = subprocess.run(in_network(self.chassis.namespace_path(node),
                                         ["ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", address]),
                                         capture_output=True, check=False)
        return done.returncode == 0

    def test_every_blade_reaches_the_control_server_until_its_cable_is_cut(self):
        self.assertTrue(self.ping("control", "192.168.1.1"))
        switch.silence(self.chassis, "cut", ["b1-mnt"])
        self.assertFalse(self.ping("control", "192.168.1.1"))
        self.assertTrue(self.ping("control", "192.168.1.2"))
        carrier = run(in_network(self.chassis.namespace_path("blade-1"), ["ip", "-o", "link", "show", "mnt0"]))
        self.assertIn("LOWER_UP", carrier)
        self.assertEqual(switch.heal(self.chassis), ["b1-mnt"])
        self.assertTrue(self.ping("control", "192.168.1.1"))

    def test_what_runs_in_a_blade_is_private_to_it(self):
        self.in_blade("blade-1", ["sh", "-c", "echo 1 > /dev/shm/understudy-x; echo 1 > /run/understudy/x"])
        self.assertFalse(os.path.exists("/dev/shm/understudy-x"))
        self.assertEqual(self.in_blade("blade-2", ["sh", "-c",
                                                   "ls /dev/shm /run/understudy /run/netns | grep x || true"]), "")
        self.assertTrue(os.path.exists(os.path.join(blades.run_directory(self.state, "blade-1"), "x")))

    def test_programs_have_one_path_in_every_blade_wherever_they_were_built(self):
        program = os.path.join(self.directory, "some-application")
        with open(program, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\necho it runs\n")
        os.chmod(program, 0o755)
        init = [os.path.join(lab.binaries(), "lab-init"), "--netns", self.chassis.namespace_path("server"),
                "--hostname", "x", "--log", self.path("log"), "--program", program, "--", "/srv/bin/some-application"]
        known = processes.identity(int(run(init)))
        self.addCleanup(processes.kill, known)
        until(lambda: "it runs" in open(self.path("log"), encoding="utf-8").read(), "the program's word in the log")
        self.assertFalse(os.path.exists("/srv/bin/some-application"))

    def test_power_off_kills_everything_at_once_and_reboot_starts_anew(self):
        inside = subprocess.Popen(blades.inside(self.state, "blade-1", ["sh", "-c", "trap '' TERM; sleep 600 & wait"]))
        self.addCleanup(inside.wait)
        self.in_blade("blade-1", ["touch", "/dev/shm/state"])
        self.in_blade("blade-1", ["nft", "add table inet left_behind"])
        blades.power_off(self.state, "blade-1")
        self.assertNotEqual(inside.wait(10), 0)
        self.assertEqual(blades.power_status(self.state, "blade-1"), "off")
        carrier = run(in_network(self.chassis.namespace_path("switch"), ["ip", "-o", "link", "show", "b1-ext"]))
        self.assertIn("LOWER_UP", carrier)
        self.assertFalse(self.ping("control", "192.168.1.1"))
        blades.power_on(self.state, "blade-1", lab.binaries())
        self.assertTrue(self.ping("control", "192.168.1.1"))
        self.assertEqual(self.in_blade("blade-1", ["sh", "-c", "ls /dev/shm; nft list tables"]), "")

    def test_a_blade_boots_again_while_the_kernel_still_holds_its_former_network(self):
        with open(self.chassis.namespace_path("blade-1"), "rb"):  # as the kernel does for a while after it
            blades.power_off(self.state, "blade-1")
            blades.power_on(self.state, "blade-1", lab.binaries())
            self.assertTrue(self.ping("control", "192.168.1.1"))

    def test_who_powered_a_blade_off_is_told(self):
        blades.power_off(self.state, "blade-1", by="control-server")
        with self.assertRaisesRegex(LabError, "powered off .by the control-server.; ./dev lab reboot blade-1"):
            blades.signal_all(self.state, "blade-1", signal.SIGCONT)
        blades.power_on(self.state, "blade-1", lab.binaries())

    def test_a_command_in_a_blade_starts_where_its_person_is(self):
        self.assertEqual(self.in_blade("blade-1", ["pwd"]).strip(), os.getcwd())

    def test_a_frozen_blade_forwards_and_its_processes_stand_still(self):
        self.serve_by_hand(1, "blade-1")
        self.assertTrue(self.ping("client-1", "10.23.4.1"))
        forever = "while true; do echo x >> /run/understudy/ticks; sleep 0.01; done"
        self.in_blade("blade-1", ["sh", "-c", f"exec > /dev/null 2>&1; ({forever}) &"])
        ticks = os.path.join(blades.run_directory(self.state, "blade-1"), "ticks")
        until(lambda: os.path.exists(ticks), "the ticking process runs")
        self.assertGreaterEqual(blades.signal_all(self.state, "blade-1", signal.SIGSTOP), 2)
        size = os.path.getsize(ticks)
        self.assertTrue(self.ping("client-1", "10.23.4.1", count=3))
        self.assertEqual(os.path.getsize(ticks), size)
        blades.signal_all(self.state, "blade-1", signal.SIGCONT)
        until(lambda: os.path.getsize(ticks) > size, "the thawed process ticks on")

    def test_the_power_script_is_what_a_control_server_calls(self):
        power = [os.path.join(REPOSITORY, "lab", "power"), "--name", self.name]
        self.assertEqual(run([*power, "status", "blade-1"]).strip(), "on")
        self.assertEqual(run([*power, "off", "blade-1"]).strip(), "off")
        self.assertEqual(run([*power, "off", "blade-1"]).strip(), "off")
        self.assertEqual(run([*power, "on", "blade-1"]).strip(), "on")
        refused = subprocess.run([*power, "off", "blade-9"], capture_output=True, text=True, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("blade-1, blade-2", refused.stderr)

    def test_processes_of_the_lab_are_written_down_and_ended(self):
        process = daemons.spawn(self.state, "sleeper", ["sleep", "600"], "server")
        self.assertTrue(processes.is_alive(self.state.read()["processes"]["sleeper"]))
        lab.down(self.name)
        self.assertEqual(process.wait(10), -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
