# SPDX-License-Identifier: Apache-2.0
"""Blades of a lab are powered off and on by the control-server's own driver, a real fence agent (fence_ipmilan) and
simulated BMCs (ipmi_sim): nothing of the product runs on them, what dies and boots is the whole blade."""
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lab"))
from lab_case import LabCase, blades, config_files, lab, processes, until  # noqa: E402
from understudy_lab import bmcs  # noqa: E402
from understudy_lab.shell import in_network  # noqa: E402

DEADLINE_MS = lab.DEFAULTS["power_deadline_ms"]


class Ipmi(LabCase):
    options = {"fencing": "ipmi", "tls": False}  # no daemon runs

    def setUp(self):
        super().setUp()
        options = lab.DEFAULTS | self.options | {"application": "", "bfd_auth": "none"}
        self.group = config_files.group(self.chassis, self.state, options, [])
        with open(self.state.path("role-1.nft"), "w", encoding="utf-8") as file:
            file.write(config_files.ruleset(1))

    def power(self, what, blade="blade-1", change=("", ""), seconds=40):
        """Exit status and words of the driver, in one line."""
        self.assertIn(change[0], self.group)
        with open(self.state.path("group.toml"), "w", encoding="utf-8") as file:
            file.write(self.group.replace(*change, 1))
        command = [os.path.join(lab.binaries(), "understudy-control-server"), "--config",
                   self.state.path("group.toml"), "--power", what, blade, "--reason", "a test"]
        done = subprocess.run(in_network(self.chassis.namespace_path("control"), command), capture_output=True,
                              text=True, timeout=seconds, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def bmc(self, blade="blade-1"):
        return self.state.read()["processes"][bmcs.name(blade)]

    def test_off_is_confirmed_and_on_boots_the_blade(self):
        inside = subprocess.Popen(blades.inside(self.state, "blade-1", ["sleep", "600"]))
        self.addCleanup(inside.wait)
        self.addCleanup(inside.kill)  # before the wait: cleanups run backwards
        self.in_blade("blade-1", ["touch", "/dev/shm/state"])
        self.assertEqual(self.power("status"), (0, "blade-1: power is on"))
        self.assertEqual(self.power("off"), (0, "blade-1: power is off"))
        self.assertEqual(inside.wait(10), -signal.SIGKILL)
        self.assertIsNone(blades.init_of(self.state, "blade-1"))
        self.assertIsNotNone(blades.init_of(self.state, "blade-2"), "its neighbour runs on")
        self.assertEqual(self.power("off"), (0, "blade-1: power is off"), "off already")
        self.assertEqual(self.power("status", "blade-2"), (0, "blade-2: power is on"))
        self.assertEqual(self.power("on"), (0, "blade-1: power is on"))
        self.assertIsNotNone(blades.init_of(self.state, "blade-1"))
        self.assertEqual(self.in_blade("blade-1", ["ls", "/dev/shm"]), "", "it has booted anew")

    def test_no_process_has_the_password_among_its_arguments(self):
        """An ipmitool before the real one writes down what everybody could read: its own command line and those of
        all who have started it, at the moment in which the agent's would still be whole."""
        with open(bmcs.password_file(self.state, "blade-1"), encoding="utf-8") as file:
            password = file.read().strip()
        seen, first = self.path("seen"), self.path("first")
        os.mkdir(first)
        with open(os.path.join(first, "ipmitool"), "w", encoding="utf-8") as file:
            file.write(f"""#!/bin/sh
pid=$$
while [ "$pid" -gt 1 ]; do
  tr '\\0' ' ' </proc/$pid/cmdline; echo
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$pid/status)
done >>{seen}
exec {shutil.which("ipmitool")} "$@"
""")
        os.chmod(os.path.join(first, "ipmitool"), 0o755)
        before = os.environ["PATH"]
        self.addCleanup(os.environ.update, {"PATH": before})
        os.environ["PATH"] = f"{first}:{before}"
        self.assertEqual(self.power("off"), (0, "blade-1: power is off"))
        with open(seen, encoding="utf-8") as file:
            lines = file.read()
        self.assertRegex(lines, "ipmitool -E .* chassis power off")
        self.assertIn("fence_ipmilan", lines)
        self.assertIn("understudy-control-server", lines)
        self.assertNotIn(password, lines)

    def test_a_wrong_password_is_told_and_proves_nothing(self):
        wrong = self.path("wrong")
        bmcs.write_private(wrong, "not-the-password\n")
        status, said = self.power("off", change=(bmcs.password_file(self.state, "blade-1"), wrong))
        self.assertEqual(status, 1, said)
        self.assertIn("fence_ipmilan off blade-1 ended with status 1", said)
        self.assertNotIn("not-the-password", said)
        self.assertIsNotNone(blades.init_of(self.state, "blade-1"))

    def test_a_bmc_that_hangs_is_given_up_at_the_deadline_with_every_process_of_the_agent(self):
        processes.send(self.bmc(), signal.SIGSTOP)
        self.addCleanup(processes.send, self.bmc(), signal.SIGCONT)
        began = time.monotonic()
        status, said = self.power("off", change=(f"deadline_ms = {DEADLINE_MS}", "deadline_ms = 1500"))
        self.assertEqual(status, 1, said)
        self.assertRegex(said, "fence_ipmilan (did not end within|off blade-1 ended with status 1)")
        self.assertLess(time.monotonic() - began, 10)
        until(lambda: self.agents_processes() == [], "nothing of the agent is left", 5)
        self.assertIsNotNone(blades.init_of(self.state, "blade-1"))
        self.assertEqual(self.power("off", "blade-2"), (0, "blade-2: power is off"), "another blade's BMC answers")

    def test_a_bmc_that_does_not_switch_off_is_not_believed(self):
        """It takes the order and says that it was done; the blade is on, and its status says so."""
        conf = self.state.path("bmc", "blade-1", "lan.conf")
        with open(conf, encoding="utf-8") as file:
            text = file.read()
        liar = self.path("liar")
        with open(liar, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n[ $1 = get ] && echo power:1\nexit 0\n")
        os.chmod(liar, 0o755)
        processes.kill(self.bmc())
        bmcs.write_private(conf, text.replace(f"{bmcs.SCRIPT} {self.name} blade-1", liar))
        bmcs.start(self.state, "blade-1")
        until(lambda: bmcs.answers(self.state, "blade-1"), "the BMC answers")
        status, said = self.power("off", change=(f"deadline_ms = {DEADLINE_MS}", "deadline_ms = 4000"))
        self.assertEqual(status, 1, said)
        self.assertIn("fence_ipmilan", said)
        self.assertIsNotNone(blades.init_of(self.state, "blade-1"))

    def test_what_cannot_be_done_is_one_line(self):
        for what, blade, change, words in (("off", "blade-9", ("", ""), 'there is no blade "blade-9"'),
                                           ("dance", "blade-1", ("", ""), '"dance" is nothing that can be done'),
                                           ("off", "blade-1", ('driver = "fence-agent"', 'driver = "none"'),
                                            "the file has no power driver"),
                                           ("off", "blade-1", ('power_wait = "0"', 'power_weight = "0"'),
                                            'it has no parameter "power_weight"')):
            with self.subTest(words):
                status, said = self.power(what, blade, change)
                self.assertEqual(status, 2, said)
                self.assertIn(words, said)
                self.assertEqual(len(said.splitlines()), 1, said)

    def agents_processes(self):
        """Of fence_ipmilan in this lab's network."""
        found = []
        for pid in processes.in_namespaces([self.chassis.namespace_path("control")]):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    comm = file.read().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if comm in ("fence_ipmilan", "ipmitool") and processes.start_time(pid) is not None:
                found.append((pid, comm))
        return found


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
