# SPDX-License-Identifier: Apache-2.0
"""A group whose daemons run under what their systemd units forbid, with a socket of the test's own in systemd's place:
a takeover and a movement go through, a daemon that stands still is not fed, and no key is told anywhere."""
# Covers: common/src/service_manager.cpp
import base64
import glob
import os
import re
import shlex
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import GroupCase, REPOSITORY, blades, lab, memory, say, until  # noqa: E402
from understudy_lab import processes  # noqa: E402

UNITS = os.path.join(REPOSITORY, "packaging", "systemd", "understudy-")
# The lab's switch is a bridge of this machine.
UNDER = {"control-server": f"{UNITS}control-server.service,"
                           f"{UNITS}control-server.service.d.examples/linux-bridge.conf",
         "host-agent": f"{UNITS}host-agent.service"}
WATCHDOG_US = 1_000_000


class Hardened(GroupCase):
    options = {"bfd_auth": "meticulous-sha1"}

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.notify = os.path.join(directory.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.notify)
        self.messages = []
        threading.Thread(target=self.listen, daemon=True).start()
        self.wrap_daemons(directory.name)
        super().setUp()

    def wrap_daemons(self, directory):
        """A build whose daemons are started as systemd would."""
        real = lab.build_directory()
        os.mkdir(os.path.join(directory, "bin"))
        for entry in os.listdir(real):
            if entry != "bin":
                os.symlink(os.path.join(real, entry), os.path.join(directory, entry))
        for program in os.listdir(os.path.join(real, "bin")):
            os.symlink(os.path.join(real, "bin", program), os.path.join(directory, "bin", program))
        for name, units in UNDER.items():
            path = os.path.join(directory, "bin", f"understudy-{name}")
            target = os.path.realpath(path)
            os.unlink(path)
            launcher = os.path.join(REPOSITORY, "tests", "support", "under_unit.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\nexport NOTIFY_SOCKET={shlex.quote(self.notify)} WATCHDOG_USEC={WATCHDOG_US} "
                           f"WATCHDOG_PID=$$\nexec /usr/bin/python3 -B {shlex.quote(launcher)} {shlex.quote(units)} "
                           f"{shlex.quote(target)} \"$@\"\n")
            os.chmod(path, 0o755)
        before = os.environ.get("UNDERSTUDY_BUILD")
        os.environ["UNDERSTUDY_BUILD"] = directory

        def restore():
            if before is None:
                del os.environ["UNDERSTUDY_BUILD"]
            else:
                os.environ["UNDERSTUDY_BUILD"] = before
        self.addCleanup(restore)

    # --- what is seen ---
    def listen(self):
        """All the time: a daemon must never wait for who listens to it."""
        while True:
            try:
                text, credentials, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            except OSError:
                return
            pid = int.from_bytes(credentials[0][2][:4], sys.byteorder)
            self.messages.append((time.monotonic(), pid, text.decode()))

    def told(self, pid, since=0.0):
        return [text for at, whose, text in list(self.messages) if whose == pid and at >= since]

    def daemons(self):
        """name -> process id"""
        found = {"control-server": self.state.read()["processes"]["control-server"]["pid"]}
        for blade in self.chassis.blades:
            if blades.init_of(self.state, blade) is None:
                continue
            for pid in processes.descendants(blades.running_init(self.state, blade)["pid"])[1:]:
                if memory.name_of(pid) == "understudy-host":
                    found[blade] = pid
        return found

    def secrets(self):
        """Private keys and BFD's key, as files and in what text they could be told."""
        files = glob.glob(os.path.join(self.state.directory, "**", "*.key"), recursive=True)
        self.assertGreater(len(files), 3)
        found = {}
        for path in files:
            with open(path, "rb") as file:
                content = file.read().strip()
            lines = [line for line in content.splitlines() if not line.startswith(b"-----")]
            for line in lines:
                for form in (line, base64.b64encode(line), line.hex().encode()):
                    if len(form) >= 16 and not re.fullmatch(rb"[A-Z =-]*", form):
                        found.setdefault(form, path)
        return found

    def test_a_takeover_and_a_movement_under_the_units_and_no_key_is_told(self):
        pids = self.daemons()
        self.assertEqual(set(pids), {"control-server", *self.chassis.blades})
        for name, pid in pids.items():
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), name)
        self.is_ready_and_fed()
        self.take_over()
        self.a_told_key_would_be_found()
        self.nothing_is_told_of("after the takeover")
        since = self.order_move()
        self.wait_event(lambda event: event.get("phase") == "resume", "the movement", since)
        self.wait_state("on-host")
        self.wait_traffic("traffic through the host")
        self.nothing_is_told_of("after the movement")
        self.finish_traffic()
        self.is_not_fed_while_it_stands_still(pids["control-server"])

    def is_ready_and_fed(self):
        for name, pid in self.daemons().items():
            text = "\n".join(self.told(pid))
            for word in ("READY=1", "WATCHDOG=1", "STATUS="):
                self.assertIn(word, text, name)

    def is_not_fed_while_it_stands_still(self, control):
        os.kill(control, signal.SIGSTOP)
        try:
            stopped = time.monotonic() + 0.2
            other = self.daemons()[self.standby]
            until(lambda: len(self.told(other, stopped)) > 5, "meanwhile another one is fed on")
            self.assertEqual(self.told(control, stopped), [], "it stands still, and nobody says that it runs")
        finally:
            os.kill(control, signal.SIGCONT)
        goes_on = time.monotonic()
        until(lambda: self.told(control, goes_on), "it goes on and is fed again")
        self.wait_state("on-host")
        say("a daemon that stands still is not fed")

    def a_told_key_would_be_found(self):
        told = self.state.log("planted")
        with open(told, "wb") as file:
            file.write(b"the key is " + next(iter(self.secrets())) + b"\n")
        with self.assertRaisesRegex(AssertionError, "planted.log tells"):
            self.nothing_is_told_of("for a moment")
        os.unlink(told)

    def nothing_is_told_of(self, when):
        keys = self.secrets()
        places = [path for path in glob.glob(os.path.join(self.state.directory, "**", "*.log"), recursive=True)]
        places += glob.glob("/proc/[0-9]*/cmdline")
        self.assertTrue(any(path.endswith(".log") for path in places))
        for path in places:
            try:
                with open(path, "rb") as file:
                    content = file.read()
            except OSError:  # it has ended
                continue
            for key, whose in keys.items():
                self.assertNotIn(key, content, f"{path} tells what is in {whose} {when}")
        for _, pid, text in list(self.messages):
            for key, whose in keys.items():
                self.assertNotIn(key.decode(), text, f"process {pid} tells systemd what is in {whose} {when}")
        say(f"{len(keys)} forms of keys, {len(places)} logs and command lines: told nowhere")


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
