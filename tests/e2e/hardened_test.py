# SPDX-License-Identifier: Apache-2.0
"""A group whose daemons run as their systemd units run them, by systemd itself: a takeover and a movement go through, a
host-agent that is killed is started again and its guests go on, a daemon that stands still is killed and started again,
and no key is told anywhere."""
# Covers: common/src/service_manager.cpp
import base64
import glob
import os
import re
import shlex
import signal
import stat
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import GroupCase, REPOSITORY, ROLE, blades, lab, memory, say, until  # noqa: E402
from understudy_lab import processes  # noqa: E402

sys.path.insert(0, os.path.join(REPOSITORY, "tests", "support"))
import under_systemd  # noqa: E402

UNITS = os.path.join(REPOSITORY, "packaging", "systemd", "understudy-")
# A call that is not allowed kills here, so that it cannot go unnoticed. The lab's state and build lie where a control-
# server's own do not, and its switch is a bridge of this machine.
HERE = {"control-server": """[Service]
SystemCallErrorNumber=kill
WatchdogSec=2
ReadWritePaths=/run/understudy-lab
BindReadOnlyPaths={binaries}
""", "host-agent": """[Service]
SystemCallErrorNumber=kill
"""}
EXAMPLES = {"control-server": [f"{UNITS}control-server.service.d.examples/linux-bridge.conf"], "host-agent": []}


class Hardened(GroupCase):
    # What powers a blade off in the lab are the machine's own processes, which a control-server does not see.
    options = {"bfd_auth": "meticulous-sha1", "power": False}

    def setUp(self):
        if "UNDERSTUDY_INSTALLED" in os.environ:
            self.assertTrue(os.path.exists(under_systemd.SYSTEMD), "everything is said to be installed")
        if not under_systemd.is_possible():
            self.skipTest("a systemd of its own needs control groups of version 2 (mount -t cgroup2) and " +
                          under_systemd.SYSTEMD)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(under_systemd.remove_groups)
        self.wrap_daemons(directory.name)
        super().setUp()

    def wrap_daemons(self, directory):
        """A build whose daemons are started by systemd."""
        real = lab.build_directory()
        os.mkdir(os.path.join(directory, "bin"))
        for entry in os.listdir(real):
            if entry != "bin":
                os.symlink(os.path.join(real, entry), os.path.join(directory, entry))
        for program in os.listdir(os.path.join(real, "bin")):
            os.symlink(os.path.join(real, "bin", program), os.path.join(directory, "bin", program))
        for name, here in HERE.items():
            path = os.path.join(directory, "bin", f"understudy-{name}")
            target = os.path.realpath(path)
            os.unlink(path)
            drop_in = os.path.join(directory, f"{name}.conf")
            with open(drop_in, "w", encoding="utf-8") as file:
                file.write(here.format(binaries=os.path.dirname(target)))
            launcher = os.path.join(REPOSITORY, "tests", "support", "under_systemd.py")
            units = ",".join([f"{UNITS}{name}.service", *EXAMPLES[name], drop_in])
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\n[ \"$1\" = --check ] && exec {shlex.quote(target)} \"$@\"\n"
                           f"exec /usr/bin/python3 -B {shlex.quote(launcher)} {shlex.quote(units)} "
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
    def services(self):
        """name -> (its systemd, the service's own process or None, its unit)"""
        roots = {"control-server": (self.state.read()["processes"]["control-server"]["pid"], "control-server")}
        for blade in self.chassis.blades:
            if blades.init_of(self.state, blade) is not None:
                roots[blade] = (blades.running_init(self.state, blade)["pid"], "host-agent")
        found = {}
        for name, (root, daemon) in roots.items():
            tree = {pid: memory.name_of(pid) for pid in processes.descendants(root)}
            process_one = next((pid for pid, called in tree.items() if called == "systemd"), None)
            pid = next((pid for pid, called in tree.items() if called == f"understudy-{daemon}"[:15]), None)
            found[name] = (process_one, pid, f"understudy-{daemon}.service")
        return found

    def told(self, name, *properties):
        process_one, _, unit = self.services()[name]
        return under_systemd.show(process_one, unit, *properties)

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
        services = self.services()
        self.assertEqual(set(services), {"control-server", *self.chassis.blades})
        for name, (_, pid, _) in services.items():
            self.is_ready_and_fed(name)
            self.is_confined(name, pid)
        self.sees_little(services["control-server"][1])
        self.take_over()
        self.nobody_else_reaches_sockets_and_regions()
        self.a_told_key_would_be_found()
        self.nothing_is_told_of("after the takeover")
        self.a_killed_host_agent_is_started_again_and_guests_go_on()
        since = self.order_move()
        self.wait_event(lambda event: event.get("phase") == "resume", "the movement", since)
        self.wait_state("on-host")
        self.wait_traffic("traffic through the host")
        self.nothing_is_told_of("after the movement")
        self.finish_traffic()
        self.one_that_stands_still_is_started_again()
        self.so_is_a_host_agent_and_who_serves_goes_on()

    def is_ready_and_fed(self, name):
        fed_at = "WatchdogTimestampMonotonic"
        told = self.told(name, "ActiveState", "SubState", "StatusText", "NRestarts", "WatchdogUSec", fed_at)
        self.assertEqual((told["ActiveState"], told["SubState"], told["NRestarts"]), ("active", "running", "0"), name)
        self.assertNotEqual(told["StatusText"], "", name)
        self.assertNotEqual(told["WatchdogUSec"], "0", name)
        until(lambda: self.told(name, fed_at)[fed_at] != told[fed_at], f"{name} feeds its watchdog")
        say(f"{name}: {told['StatusText']}")

    def is_confined(self, name, pid):
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), name)
        self.assertGreater(int(status["Seccomp_filters"]), 2, name)
        self.assertEqual(int(status["CapEff"], 16) & ~int(status["CapBnd"], 16), 0, name)
        self.assertEqual(status["Umask"], "0077", name)

    def sees_little(self, pid):
        """The control-server, whose unit gives it mounts of its own."""
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
            mounts = {line.split()[4]: line for line in file}
        for where in ("/", "/sys/fs/cgroup", "/root"):  # the last one that was laid there counts
            self.assertIn("ro", mounts[where].split()[5].split(","), where)
        self.assertIn("hidepid=invisible", mounts["/proc"])
        inside = f"/proc/{pid}/root"
        self.assertFalse(os.path.exists(inside + "/dev/mem"))
        self.assertEqual([entry for entry in os.listdir(inside + "/root")], [])
        for what in ("MemoryDenyWriteExecute", "RestrictSUIDSGID", "LockPersonality", "PrivateTmp"):
            self.assertEqual(self.told("control-server", what), {what: "yes"})

    def a_killed_host_agent_is_started_again_and_guests_go_on(self):
        _, pid, _ = self.services()[self.standby]
        guests = self.guests()
        self.assertEqual(len(guests), 1)
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.told(self.standby, "NRestarts", "SubState") == {"NRestarts": "1", "SubState": "running"},
              "the host-agent is started again", 20)
        self.assertNotEqual(self.services()[self.standby][1], pid)
        self.assertEqual(self.guests(), guests, "KillMode=process: who serves goes on")
        self.wait_traffic("traffic goes on through the mirror")
        self.wait_state("on-mirror")
        say("a killed host-agent is back, its guest has gone on")

    def one_that_stands_still_is_started_again(self):
        _, pid, _ = self.services()["control-server"]
        os.kill(pid, signal.SIGSTOP)
        until(lambda: self.told("control-server", "NRestarts")["NRestarts"] == "1",
              "it is not fed, killed and started again", 20)
        until(lambda: self.told("control-server", "SubState")["SubState"] == "running", "the next one is ready", 20)
        self.assertEqual(self.told(self.standby, "NRestarts")["NRestarts"], "1", "only that one")
        self.wait_state("on-host")
        say("a daemon that stands still is killed and started again")

    def so_is_a_host_agent_and_who_serves_goes_on(self):
        """By its unit's own WatchdogSec=, and although SIGKILL is never sent: who is stopped is woken to be aborted."""
        _, pid, _ = self.services()[self.standby]
        served_by = memory.region_of_application(self.state, ROLE)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: self.told(self.standby, "NRestarts", "SubState") == {"NRestarts": "2", "SubState": "running"},
              "the host-agent is not fed, ended and started again", 30)
        self.assertNotEqual(self.services()[self.standby][1], pid)
        self.assertEqual(memory.region_of_application(self.state, ROLE), served_by, "KillMode=process")
        self.wait_state("on-host")
        say("a host-agent that stands still is ended and started again")

    def nobody_else_reaches_sockets_and_regions(self):
        """QMP, the agents' ports, the applications' sockets, and what holds a role's state."""
        looked = {"socket": 0, "region": 0}
        for blade in self.chassis.blades:
            if blades.init_of(self.state, blade) is None:
                continue
            run = blades.run_directory(self.state, blade)
            regions = os.path.join(os.path.dirname(os.path.dirname(run)), "dev", "shm", "understudy-*")
            for path in glob.glob(os.path.join(run, "**"), recursive=True) + glob.glob(regions):
                found = os.stat(path)
                kind = "socket" if stat.S_ISSOCK(found.st_mode) else "region" if "/dev/shm/" in path else None
                if kind:
                    looked[kind] += 1
                    self.assertEqual(found.st_mode & 0o077, 0, f"{path} is open to others: {found.st_mode:o}")
        say(f"{looked['socket']} sockets and {looked['region']} regions: for nobody else")
        self.assertGreater(looked["socket"], 2)
        self.assertGreater(looked["region"], 0)

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
        for name in self.services():
            text = self.told(name, "StatusText", "StatusErrno")
            for key, whose in keys.items():
                self.assertNotIn(key.decode(), str(text), f"{name} tells systemd what is in {whose} {when}")
        say(f"{len(keys)} forms of keys, {len(places)} logs and command lines: told nowhere")


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
