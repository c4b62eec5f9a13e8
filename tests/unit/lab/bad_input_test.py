# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a command is one line and exit status 2, and nothing was started."""
import os
import shutil
import subprocess
import tempfile
import unittest

import python_path

LAB = os.path.join(python_path.LAB, "understudy-lab")
DEMO = os.path.join(python_path.LAB, "understudy-demo")
DEV = os.path.join(os.path.dirname(python_path.LAB), "dev")


class BadInput(unittest.TestCase):
    def refused(self, words, *command, environment=None):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                              env=os.environ | (environment or {}))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(words, done.stderr)

    def test_lab(self):
        up = (LAB, "up", "--name", "bad-input")
        self.refused("the following arguments are required: COMMAND; see ./dev lab --help", LAB)
        self.refused("invalid choice: 'nope'", LAB, "nope")
        self.refused("unrecognized arguments: --nope", *up, "--nope")
        self.refused("--actives: '0': use 1 to 32", *up, "--actives", "0")
        self.refused("--region-mib: 17 is no power of two: use 32", *up, "--region-mib", "17")
        self.refused("--bfd-multiplier: '999': use 1 to 255", *up, "--bfd-multiplier", "999")
        self.refused("--ready-s: '-3': use 1 or more", *up, "--ready-s=-3")
        self.refused("lab name 'a b'", LAB, "up", "--name", "a b")
        for name in ("", "..", "/tmp/x", "a/../b"):  # would be part of a path that `down` removes
            for command in (["down"], ["status"], ["exec", "blade-1", "--", "true"]):
                self.refused(f"lab name {name!r}", LAB, command[0], "--name", name, *command[1:])
        for command in (["status"], ["kill", "blade-1"], ["logs", "control"], ["exec", "blade-1", "--", "true"]):
            self.refused("no lab 'bad-input' is up", LAB, command[0], "--name", "bad-input", *command[1:])

    def test_demo(self):
        self.refused("--runs: '0': use 1 or more", DEMO, "--runs", "0")
        self.refused("--baseline-s: 'x': use 1 or more", DEMO, "--baseline-s", "x")
        self.refused("cannot write into /nonexistent", DEMO, "--report", "/nonexistent/report.json")

    def test_dev(self):
        self.refused('unknown command "nope"; see ./dev --help', DEV, "nope")
        self.refused('unknown word "--nope"', DEV, "build", "--nope")
        self.refused('unknown word "nope"', DEV, "setup", "nope")
        self.refused('unknown word "--nope"', DEV, "lint", "--nope")
        self.refused("unknown option --nope", DEV, "test", "--nope")
        self.refused("-R needs a regular expression", DEV, "test", "-R")
        self.refused("is no preset; use dev, release", DEV, "build", environment={"UNDERSTUDY_PRESET": "nope"})

    def test_help_needs_neither_root_nor_packages(self):
        """As nobody, in an environment without the build; ./dev also without Python, as on a fresh system."""
        essential = tempfile.TemporaryDirectory()
        self.addCleanup(essential.cleanup)
        os.chmod(essential.name, 0o755)
        for program in ("env", "bash", "dirname", "readlink", "cat"):
            os.symlink(shutil.which(program), os.path.join(essential.name, program))
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if subprocess.run(["test", "-x", LAB], check=False, **nobody).returncode != 0:
            nobody = {}  # the tree lies where only root may look
        for command, usage in (([LAB, "--help"], "usage: ./dev lab"), ([DEMO, "--help"], "usage: ./dev demo"),
                               ([LAB, "up", "--help"], "usage: ./dev lab up"), ([DEV, "demo", "--help"], "dev demo"),
                               ([DEV, "lab", "--help"], "dev lab"), ([DEV, "lab", "up", "-h"], "dev lab"),
                               ([DEV, "test", "--help"], "dev test"), ([DEV, "--help"], "Usage: ./dev COMMAND")):
            for path in (os.environ["PATH"], essential.name):
                done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                                      env={"PATH": path}, **nobody)
                self.assertEqual((done.returncode, done.stderr), (0, ""), command)
                self.assertIn(usage, done.stdout)

    def test_programs(self):
        def program(name):
            return os.path.join(os.environ["UNDERSTUDY_BUILD"], "bin", name)
        for name, file in (("understudy-control-server", "group.toml"), ("understudy-host-agent", "blade.toml")):
            self.refused(f'{name}: "--nope" is not known here; see {name} --help', program(name), "--nope")
            self.refused(f"/nonexistent/{file}:1: cannot be read: No such file or directory",
                         program(name), "--config", f"/nonexistent/{file}")
            self.refused("/tmp:1: cannot be read: it is a directory", program(name), "--config", "/tmp")
        self.refused('"--nope" is not known here', program("understudy-guest-agent"), "--nope")
        operator = program("understudy")
        self.refused('understudy: "stauts" is not known here; see understudy --help', operator, "stauts")
        self.refused("A subcommand is required", operator)
        self.refused("ROLE is required", operator, "move")
        for command in (("move", "role-1"), ("switchover", "role-1"), ("power", "off", "blade-1", "--reason", " ")):
            self.refused('understudy: say why', operator, *command)
        self.refused('"nowhere" is no ADDRESS:PORT', operator, "--control", "nowhere", "status")
        self.refused('"-1" is no event id', operator, "events", "--since=-1")
        self.refused('"sometimes" is no movement policy', operator, "policy", "sometimes")


if __name__ == "__main__":
    unittest.main()
