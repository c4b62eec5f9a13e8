# SPDX-License-Identifier: Apache-2.0
"""The systemd units as systemd itself judges them, and their filters proven on real programs."""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
UNITS = os.path.join(REPOSITORY, "packaging", "systemd")
LAUNCHER = os.path.join(REPOSITORY, "tests", "support", "under_unit.py")
# 0 is best, 10 is a service without any hardening; each is a little above what it is today.
EXPOSED_AT_MOST = {"control-server": 2.5, "host-agent": 7.5, "guest-agent": 7.5}
# A witness's raw socket is opened before the daemon gives up what it does not keep.
AT_THE_START = {"control-server": {"CAP_NET_RAW"}}
ADD_KEY = 248  # x86-64: in @keyring
CALL = "import ctypes; ctypes.CDLL(None).syscall({}, 0, 0, 0, 0, 0)"


def unit(name):
    return os.path.join(UNITS, f"understudy-{name}.service")


def values(path, setting):
    with open(path, encoding="utf-8") as file:
        return [word for line in file if line.startswith(setting + "=") for word in line.split("=", 1)[1].split()]


class Units(unittest.TestCase):
    def test_systemd_finds_nothing_to_complain_about(self):
        with tempfile.TemporaryDirectory() as directory:
            for path in glob.glob(os.path.join(UNITS, "*.service")):
                with open(path, encoding="utf-8") as file:  # the daemons are not installed here
                    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", file.read(), flags=re.MULTILINE)
                with open(os.path.join(directory, os.path.basename(path)), "w", encoding="utf-8") as file:
                    file.write(text)
            told = subprocess.run(["systemd-analyze", "verify", "--man=no", *glob.glob(directory + "/*.service")],
                                  capture_output=True, text=True, check=False)
        self.assertEqual((told.returncode, told.stderr.strip()), (0, ""))

    def test_none_is_more_exposed_than_it_was(self):
        for name, most in EXPOSED_AT_MOST.items():
            told = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit(name)],
                                  capture_output=True, text=True, check=True, env=os.environ | {"LC_ALL": "C"}).stdout
            level = float(re.search(r"exposure level for \S+: ([0-9.]+)", told).group(1))
            self.assertLessEqual(level, most, f"{name}:\n{told}")

    def test_the_capabilities_are_those_that_the_daemons_keep(self):
        for name in ("control-server", "host-agent"):
            with open(os.path.join(REPOSITORY, name, "main.cpp"), encoding="utf-8") as file:
                kept = set(re.findall(r"\bCAP_[A-Z_]+", file.read())) | AT_THE_START.get(name, set())
            paths = [unit(name), *glob.glob(unit(name) + ".d.examples/*.conf")]
            self.assertEqual({word for path in paths for word in values(path, "CapabilityBoundingSet")
                              if word != "~"}, kept, name)  # "~": a drop-in that takes the limit away as a whole

    def test_daemons_outlive_nobody_and_nobody_goes_with_them(self):
        for name in EXPOSED_AT_MOST:
            self.assertEqual(values(unit(name), "Restart"), ["always"])
            self.assertEqual(values(unit(name), "StartLimitIntervalSec"), ["0"], "it is started again for ever")
            self.assertEqual(values(unit(name), "RestartPreventExitStatus"), [], "also when the machine is not ready")
            self.assertEqual(values(unit(name), "NoNewPrivileges"), ["yes"])
        for name in ("host-agent", "guest-agent"):  # applications, guests and regions go on (D13)
            self.assertEqual(values(unit(name), "KillMode"), ["process"])
        for name in ("control-server", "host-agent"):
            self.assertEqual(values(unit(name), "Type"), ["notify"])
            self.assertTrue(values(unit(name), "WatchdogSec"))
            self.assertEqual(values(unit(name), "RuntimeDirectory"), ["understudy"])
            self.assertEqual(values(unit(name), "RuntimeDirectoryPreserve"), ["yes"], "a successor finds it")


@unittest.skipUnless(os.geteuid() == 0, "needs root: capabilities are given up")
@unittest.skipUnless(shutil.which("systemd-analyze") or "UNDERSTUDY_INSTALLED" in os.environ,
                     "systemd-analyze is not installed (`./dev test` installs it, and then its absence is a failure)")
class Filter(unittest.TestCase):
    def run_under(self, name, *command):
        return subprocess.run([sys.executable, LAUNCHER, unit(name), *command], capture_output=True, text=True,
                              check=False)

    def test_an_ordinary_program_runs_under_each(self):
        for name in EXPOSED_AT_MOST:
            done = self.run_under(name, "/bin/sh", "-c", "grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status")
            self.assertEqual(done.returncode, 0, f"{name}: {done.stderr}")
            told = dict(line.split(":\t") for line in done.stdout.splitlines())
            self.assertEqual((told["NoNewPrivs"], told["Seccomp"]), ("1", "2"))
            kept = int(told["CapBnd"], 16).bit_count()  # fewer where root lacks some, as in a container
            self.assertIn(kept, range(1, len(values(unit(name), "CapabilityBoundingSet")) + 1))

    def test_what_is_not_allowed_is_not_done(self):
        done = self.run_under("control-server", sys.executable, "-c", CALL.format(ADD_KEY))
        self.assertEqual(done.returncode, -signal.SIGSYS)
        done = self.run_under("host-agent", sys.executable, "-c", CALL.format(175))  # init_module
        self.assertEqual(done.returncode, -signal.SIGSYS)
        done = self.run_under("host-agent", sys.executable, "-c", CALL.format(ADD_KEY))
        self.assertEqual(done.returncode, 0, "an application may")


if __name__ == "__main__":
    unittest.main()
