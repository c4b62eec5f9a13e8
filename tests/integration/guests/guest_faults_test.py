# SPDX-License-Identifier: Apache-2.0
"""Mirrors that do not come up or fall silent, in a whole group with real guests: an event names the guest and its
console log, the role is shown as exposed, and everything else goes on.

The faults are real ones. The group's emulator is a script that becomes QEMU, for one role with what breaks it.
"""
import os
import secrets
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lab"))
from lab_case import blades, lab, until  # noqa: E402
from understudy_demo import memory  # noqa: E402
from understudy_lab import daemons, guests  # noqa: E402
from understudy_lab.errors import LabError  # noqa: E402
from understudy_lab.shell import in_network  # noqa: E402

STARTED = time.monotonic()
BROKEN, CONSOLE = "role-1", "/run/understudy/mirror-role-1.console.log"
# Asked for a role's fault at each of its starts: DIRECTORY/ROLE is "no-machine", "other-region" (QEMU maps the file of
# that name in DIRECTORY), or the path of another initramfs.
EMULATOR = """#!/bin/sh
for word; do case $word in mirror-role-*) role=${word#mirror-};; esac; done
fault=$(cat "$(dirname "$0")/$role" 2>/dev/null)
case $fault in
  no-machine) set -- "$@" -machine no-such-machine;;
  other-region)
    for word; do
      shift
      case $word in *,mem-path=*) word=${word%,mem-path=*},mem-path=$(dirname "$0")/other-region;; esac
      set -- "$@" "$word"
    done;;
  /*)
    for word; do
      shift
      [ "$before" = -initrd ] && set -- "$@" "$fault" || set -- "$@" "$word"
      before=$word
    done;;
esac
exec qemu-system-x86_64 "$@"
"""


def say(text):
    print(f"{time.monotonic() - STARTED:7.1f} s  {text}", flush=True)


class GuestFaults(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory, self.binaries = directory.name, lab.binaries()
        self.emulator = self.write("emulator", EMULATOR, 0o755)

    def tearDown(self):
        result = self._outcome.result
        if any(test is self and error for test, error in result.errors + result.failures):
            say(f"logs are kept in {lab.keep_logs(self.state)}")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def up(self, actives, **options):
        name = "f" + secrets.token_hex(3)
        self.addCleanup(lab.down, name)
        self.state = lab.up(name, actives, {"policy": "manual", "qemu": self.emulator} | options, say)
        self.standby = self.state.chassis.standby

    def archive(self, *files):
        """A cpio archive, as the kernel takes it."""
        return subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=self.directory, check=True,
                              input="\n".join(files).encode(), stdout=subprocess.PIPE).stdout

    def image_without_agent(self):
        """The mirrors' image with a second archive behind it, whose files take the place of the first one's."""
        os.makedirs(self.path("usr/bin"))
        self.write("usr/bin/understudy-guest-agent", "")  # not executable: the image starts none
        with open(os.path.join(guests.directory(lab.build_directory()), "initramfs"), "rb") as file:
            whole = file.read()
        with open(self.path("image"), "wb") as file:
            file.write(whole + b"\0" * (-len(whole) % 4) + self.archive("usr/bin/understudy-guest-agent"))
        return self.path("image")

    def role(self, name):
        try:
            return next(role for role in daemons.status(self.state, self.binaries)["roles"] if role["role"] == name)
        except (LabError, ValueError):
            return {"state": "unknown"}  # the control-server has just been started

    def wait_state(self, name, wanted, seconds=30):
        until(lambda: self.role(name)["state"] == wanted, f"{name} is {wanted}", seconds)
        say(f"{name} is {wanted}")

    def wait_told(self, *words, seconds=30):
        """An event about the broken role that has all words."""
        def told():
            try:
                return [event for event in daemons.events(self.state, self.binaries) if event.get("role") == BROKEN
                        and event["kind"] == "mirror" and all(word in event["text"] for word in words)]
            except LabError:
                return []
        try:
            until(told, f"an event that says {words}", seconds)
        except AssertionError as error:
            texts = [event["text"] for event in daemons.events(self.state, self.binaries)]
            raise AssertionError(f"{error}; there are: {texts}") from None
        say(told()[0]["text"])

    def check_console(self, *words):
        """What the event points at says the same, also while the guest is being started again."""
        def found():
            logs = [os.path.join(blades.run_directory(self.state, self.standby), os.path.basename(path))
                    for path in (CONSOLE, CONSOLE.replace(".log", ".before.log"))]
            texts = [open(log, encoding="utf-8", errors="replace").read() for log in logs if os.path.exists(log)]
            return any(all(word in text for word in words) for text in texts)
        until(found, f"a console log that says {words}", 5)

    def check_exposed_and_all_else_goes_on(self):
        self.wait_state(BROKEN, "exposed", 10)
        lines = daemons.operator(self.state, self.binaries, "status").splitlines()
        self.assertTrue([line for line in lines if line.startswith(BROKEN) and "exposed" in line], lines)
        daemons.check_alive(self.state)
        for i in self.state.chassis.numbers:
            ping = ["ping", "-n", "-c", "1", "-W", "2", self.state.chassis.server_address("ipv4")]
            client = self.state.chassis.namespace_path(f"client-{i}")
            until(lambda: subprocess.run(in_network(client, ping), capture_output=True, check=False).returncode == 0,
                  f"role-{i} serves")
        told = daemons.status(self.state, self.binaries)
        self.assertEqual({blade["agent"] for blade in told["blades"]}, {"connected"}, told["blades"])
        others = [role["state"] for role in told["roles"] if role["role"] != BROKEN]
        self.assertEqual(others, ["protected"] * len(others))

    def test_an_emulator_that_ends_at_once_is_told_and_a_mended_one_protects(self):
        self.write(BROKEN, "no-machine")
        self.up(2, wait=False)
        self.wait_told("mirror-role-1", f"there is no console log {CONSOLE}", "unsupported machine type")
        self.wait_state("role-2", "protected")
        before = memory.region_of_guest(self.state, "role-2")
        self.check_exposed_and_all_else_goes_on()
        say("the emulator is mended")
        os.unlink(self.path(BROKEN))
        self.wait_state(BROKEN, "protected")
        self.assertEqual(memory.region_of_guest(self.state, "role-2"), before)

    def test_a_guest_whose_kernel_panics_is_told(self):
        with open(self.path("empty"), "wb") as file:
            file.write(self.archive())
        self.write(BROKEN, self.path("empty"))
        self.up(2, wait=False)
        self.wait_told("mirror-role-1", CONSOLE, "Kernel panic")
        self.check_console("Kernel panic")
        self.wait_state("role-2", "protected")
        self.check_exposed_and_all_else_goes_on()

    def test_a_guest_with_another_file_as_its_region_is_told(self):
        with open(self.path("other-region"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, lab.DEFAULTS["region_mib"] << 20)
        self.write(BROKEN, "other-region")
        self.up(2, wait=False)
        self.wait_told("mirror-role-1 does not share the region file /dev/shm/understudy-role-1", "the guest reads")
        self.wait_state("role-2", "protected")
        self.check_exposed_and_all_else_goes_on()

    def test_a_guest_without_an_agent_is_told(self):
        self.write(BROKEN, self.image_without_agent())
        self.up(1, wait=False, boot_deadline_s=15)
        self.wait_told("mirror-role-1 has not spoken within 15000 ms", CONSOLE, "understudy-init: up")
        self.check_console("understudy-init: up")
        self.check_exposed_and_all_else_goes_on()

    def test_an_agent_that_dies_for_good_is_told(self):
        self.up(2)
        shell = os.path.join(blades.run_directory(self.state, self.standby), f"mirror-{BROKEN}.shell.sock")
        kill = "mv /usr/bin/understudy-guest-agent /gone; kill -9 $(pidof understudy-guest-agent)"
        self.assertEqual(guests.shell(shell, kill, lambda part: None), 0)
        say("the guest-agent is killed")
        self.wait_told("mirror-role-1: its guest-agent is gone", CONSOLE)
        self.check_console("understudy-init: up")
        self.check_exposed_and_all_else_goes_on()
        self.assertEqual(len(memory.guests(self.state)), 2)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
