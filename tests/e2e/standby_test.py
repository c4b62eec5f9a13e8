# SPDX-License-Identifier: Apache-2.0
"""The whole standby dies: the actives serve on, and every status says that they are exposed, also one whose health
command fails. It boots again and they are protected, once their mirrors have certificates; then a health command that
fails is a takeover. Before: an endless command in a mirror's shell does not keep the next one out."""
# Covers: host-agent/edge/agent_certificates.cpp, host-agent/edge/agent_fitness.cpp, host-agent/edge/agent_progress.cpp
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import REPOSITORY, ROLE, GroupCase, blades, daemons, run, say, until  # noqa: E402
from understudy_lab.shell import in_network  # noqa: E402


class StandbyDies(GroupCase):
    options = {"health": ["/usr/bin/test", "!", "-e", "/run/understudy/ill"], "bfd_multiplier": 4}

    def test_the_active_serves_on_and_is_exposed(self):
        self.wait_state("protected")
        self.the_status_tells_what_the_mirror_has_acknowledged()
        self.a_frozen_mirror_is_an_alarm()
        self.an_endless_command_ends_with_its_person()
        self.a_blade_says_the_groups_multiplier()
        before, since = self.role(), time.time_ns()
        blades.power_off(self.state, self.standby)
        say(f"{self.standby} is powered off")
        self.wait_state("exposed", 30)
        self.wait_traffic("the active serves on")
        after = self.role()
        self.assertEqual((after["place"], after["term"]), (before["place"], before["term"]))
        self.assertIn("exposed", daemons.operator(self.state, self.binaries, "status"))
        self.assertEqual([event["text"] for event in self.stream.all if event["time_ns"] >= since
                          and event.get("phase") in ("isolate", "activate")], [], "nobody was isolated or activated")
        self.an_active_that_is_ill_serves_on()
        since = time.time_ns()
        os.rename(self.certificate(), self.certificate() + ".away")
        blades.power_on(self.state, self.standby, self.binaries)
        say(f"{self.standby} boots again, without a certificate for its mirror")
        self.wait_event(lambda event: f"pki issue mirror {self.standby} {ROLE}" in event["text"],
                        "the mirror without a certificate is told", since, 90)
        self.assertEqual(self.role()["state"], "exposed", "it follows nobody in plain text")
        os.rename(self.certificate() + ".away", self.certificate())
        self.wait_state("protected", 90)
        self.a_mirrors_key_is_in_its_memory_only_and_can_be_renewed()
        self.a_stranger_at_the_actives_replication_is_told()
        self.an_active_that_is_ill_is_taken_over()
        self.finish_traffic()
        self.an_application_that_ends_in_the_serving_mirror_is_told()

    def a_blade_says_the_groups_multiplier(self):
        """It is the watched end's that an observer waits for: as it is on the wire, byte 2 of each BFD packet."""
        blade = repr(self.chassis.maintenance(self.active))
        listen = ("import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))\n"
                  "s.settimeout(10)\n"
                  "while True:\n"
                  "    packet, whence = s.recvfrom(2048)\n"
                  "    udp = packet[(packet[0] & 15) * 4:]\n"
                  f"    if packet[9] == 17 and packet[12:16] == socket.inet_aton({blade})"
                  " and udp[2:4] == (3784).to_bytes(2, 'big'):\n"
                  "        print(udp[8 + 2]); break\n")
        said = run(in_network(self.chassis.namespace_path("control"), [sys.executable, "-c", listen]))
        self.assertEqual(int(said), self.options["bfd_multiplier"])

    def an_application_that_ends_in_the_serving_mirror_is_told(self):
        since = time.time_ns()
        self.in_mirror("kill -9 $(pidof session-service)")
        self.wait_event(lambda event: event["severity"] == "alarm" and event.get("blade") == self.standby
                        and "mirror: the application ended" in event["text"], "the end is told", since, 20)
        self.wait_event(lambda event: "over: " in event["text"] and "the application ended" in event["text"],
                        "it was started again", since, 20)
        self.assertNotIn("the application", self.role()["detail"])

    def the_status_tells_what_the_mirror_has_acknowledged(self):
        """Traffic makes records all the time: what was committed at one status is acknowledged at a later one."""
        def net():
            sync = self.role()["sync"]
            return next((store for store in sync["stores"] if store["store"] == "net"), None)
        until(lambda: net() and net()["committed"] > 0, "the active tells how far its mirror has come", 10)
        first = net()
        until(lambda: net()["acknowledged"] > first["committed"], f"acknowledgements go on from {first}", 20)
        self.assertEqual(self.role()["sync"]["standby"], self.standby)
        self.assertEqual(self.role()["sync"]["stream"], "synced")
        self.assertIn(f"mirror on {self.standby}, stream synced, acknowledged: net ",
                      daemons.operator(self.state, self.binaries, "status"))

    def a_frozen_mirror_is_an_alarm(self):
        """What it said last, synced, stays said: only what it does not acknowledge tells."""
        guest, = self.guests()
        since = time.time_ns()
        os.kill(guest, signal.SIGSTOP)
        try:
            told = self.wait_event(lambda event: event["severity"] == "alarm" and
                                   "acknowledges nothing" in event["text"], "the frozen mirror is an alarm", since, 10)
        finally:
            os.kill(guest, signal.SIGCONT)
        self.assertEqual(told["role"], ROLE)
        self.assertIn(f"{self.active} has committed up to", told["text"])
        say(f"a frozen mirror is told after {(told['time_ns'] - since) / 1e6:.0f} ms")
        self.wait_event(lambda event: event["text"].startswith("over: the mirror on") and
                        "acknowledges nothing" in event["text"], "it acknowledges again", since, 20)
        self.wait_state("protected")

    def fall_ill(self):
        since = time.time_ns()
        with open(self.illness(), "w", encoding="utf-8"):
            pass
        told = self.wait_event(lambda event: event["kind"] == "fitness" and "unfit" in event["text"],
                               "its word that it is unfit", since, 20)
        self.assertIn("its health command failed 3 times in a row: ended with status 1", told["text"])
        say(f"{self.active} is ill, told after {(told['time_ns'] - since) / 1e6:.0f} ms")
        return since

    def illness(self):
        return os.path.join(blades.run_directory(self.state, self.active), "ill")

    def an_active_that_is_ill_serves_on(self):
        since = self.fall_ill()
        self.wait_event(lambda event: event["kind"] == "alarm" and "no synced mirror" in event["text"], "the alarm",
                        since)
        role = self.role()
        self.assertEqual(role["state"], "exposed")
        self.assertIn("its health command failed", role["detail"])
        self.wait_traffic("the ill active serves on")
        os.unlink(self.illness())
        self.wait_event(lambda event: event["kind"] == "fitness" and "fit again" in event["text"], "it is well", since,
                        20)

    def an_active_that_is_ill_is_taken_over(self):
        since = self.fall_ill()
        self.wait_event(lambda event: event.get("phase") == "activate", "the takeover", since, 20)
        self.wait_state("on-mirror", 20)
        self.wait_traffic("the mirror of the ill active serves")
        self.assertEqual(daemons.status(self.state, self.binaries)["blades"][0]["agent"], "connected",
                         "it keeps its power")

    def certificate(self):
        return self.state.path("pki", "mirror", self.standby, f"{ROLE}.crt")

    def a_stranger_at_the_actives_replication_is_told(self):
        since, there = time.time_ns(), self.chassis.maintenance(self.active)
        connect = f"import socket; socket.create_connection(({there!r}, 7410), 5).recv(1)"
        run(in_network(self.chassis.namespace_path("control"), [sys.executable, "-c", connect]))
        self.wait_event(lambda event: event["kind"] == "refused" and event.get("blade") == self.active
                        and "a connection from 192.168.1.250" in event["text"], "the stranger is told", since, 20)

    def a_mirrors_key_is_in_its_memory_only_and_can_be_renewed(self):
        since = time.time_ns()
        self.assertEqual(self.in_mirror("grep -rl 'PRIVATE KEY' /etc /root /run /srv /tmp /var 2>/dev/null; true"), "")
        run([os.path.join(self.binaries, "understudy"), "pki", "renew", self.certificate(), "--new-key", "--days", "5",
             "--directory", self.state.path("pki")])

        def renewed():
            with open(self.state.log(self.standby), encoding="utf-8", errors="replace") as log:
                return "its mirror has a renewed certificate" in log.read()
        until(renewed, "the mirror has the renewed certificate", 30)
        self.wait_event(lambda event: f"the mirror of {ROLE} on {self.standby}" in event["text"]
                        and "`understudy pki renew`" in event["text"], "it ends soon, and that is told", since, 20)
        self.assertEqual(self.role()["state"], "protected")

    def in_mirror(self, line):
        tool = os.path.join(REPOSITORY, "lab", "understudy-lab")
        done = subprocess.run([tool, "exec", "--name", self.state.name, "mirror-1", "--", line], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.stdout.strip()

    def an_endless_command_ends_with_its_person(self):
        tool = os.path.join(REPOSITORY, "lab", "understudy-lab")
        command = [tool, "exec", "--name", self.state.name, "mirror-1", "--"]
        with subprocess.Popen([*command, "yes"], stdout=subprocess.PIPE) as endless:
            self.assertEqual(endless.stdout.readline(), b"y\n")
            endless.kill()
        done = subprocess.run([*command, "pidof yes || echo nobody"], capture_output=True, text=True, timeout=30,
                              check=False)
        self.assertEqual(done.stdout.strip(), "nobody", done.stderr)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
