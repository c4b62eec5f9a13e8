# SPDX-License-Identifier: Apache-2.0
"""All clients, servers and captures of a run. Results lie in STATE/traffic, logs beside the lab's."""
import os
import signal
import time

from understudy_lab import daemons, processes
from understudy_lab.errors import LabError
from understudy_lab.topology import ECHO_PORT, HTTP_PORT, SESSION_PORT

from . import measure

FAMILIES = ("ipv4", "ipv6")
DIRECTIONS = ("download", "upload")
RATE = 1_000_000
# UDP over IPv4 and TCP over IPv6: every role's application is reached both ways.
SESSION_ROUND_MS = 20  # each answer waits for the mirror, whose CPU is emulated here
SESSION_CLIENTS = (("udp", "ipv4"), ("tcp", "ipv6"))


class Traffic:
    def __init__(self, state, binaries, minimum_bytes):
        self.state, self.chassis, self.binaries, self.minimum_bytes = state, state.chassis, binaries, minimum_bytes
        self.directory = state.path("traffic")
        self.stop_file = os.path.join(self.directory, "stop")
        self.running = {}
        os.makedirs(self.directory, exist_ok=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def _start(self, what, node, program, *arguments):
        command = [os.path.join(self.binaries, program), *map(str, arguments)]
        self.running[what] = daemons.spawn(self.state, what, command, node)

    def start_captures(self):
        # The standby's own bridges are segments too: there the mirror's port and the host's port are the two places.
        for node in ("switch", self.chassis.standby):
            self._start(f"capture-{node}", node, "lab-capture", "--output", self.path(f"capture-{node}.json"),
                        "--probe-port", ECHO_PORT)
        for node in ["server"] + [f"client-{i}" for i in self.chassis.numbers]:
            self._start(f"flags-{node}", node, "lab-tcp-flags", "--output", self.path(f"flags-{node}.json"))
        for what in [name for name in self.running if name.startswith(("capture-", "flags-"))]:
            self._wait_for_word(what, "capturing")

    def start_servers(self):
        self._start("echo", "server", "lab-echo", "--port", ECHO_PORT)
        self._start("http", "server", "lab-http-server", "--port", HTTP_PORT, "--results", self.directory,
                    "--quiet-fixed",
                    "--stop-file", self.stop_file, "--minimum-bytes", self.minimum_bytes, "--rate", RATE)
        self._wait_for_word("http", "listening")

    def start_clients(self):
        for i, role in zip(self.chassis.numbers, self.chassis.roles):
            client = f"client-{i}"
            self._start(f"probe-{role}", client, "lab-probe", "--target", self.chassis.server_address("ipv4"),
                        "--port", ECHO_PORT, "--replies", self.path(f"replies-{role}"),
                        "--summary", self.path(f"probe-{role}.json"))
            for family in FAMILIES:
                for direction in DIRECTIONS:
                    self._start_transfer(role, client, family, direction)
            self._start(f"fresh-{role}", client, "lab-transfer", "repeat", "--stall-limit-s", "20", "--server",
                        self.chassis.server_address("ipv4"),
                        "--port", HTTP_PORT, "--id", f"fresh-{role}", "--output", self.path(f"fresh-{role}.json"),
                        "--stop-file", self.stop_file)
            for transport, family in SESSION_CLIENTS:
                self._start(f"sessions-{role}-{transport}", client, "lab-session-client", "--server",
                            self.chassis.role_session_address(i, family), "--port", SESSION_PORT, "--transport",
                            transport, "--round-ms", SESSION_ROUND_MS,
                            "--stop-file", self.stop_file, "--output", self.path(f"sessions-{role}-{transport}.json"))

    def _start_transfer(self, role, client, family, direction):
        name = f"{role}-{family}-{direction}"
        more = [] if direction == "download" else ["--stop-file", self.stop_file, "--minimum-bytes", self.minimum_bytes]
        self._start(name, client, "lab-transfer", direction, "--server", self.chassis.server_address(family),
                    "--port", HTTP_PORT,
                    "--id", name, "--rate", RATE, "--output", self.path(f"client-{name}.json"), *more)

    def _wait_for_word(self, what, word, seconds=15):
        deadline = time.monotonic() + seconds
        log = self.state.log(what)
        while time.monotonic() < deadline:
            with open(log, encoding="utf-8", errors="replace") as file:
                if word in file.read():
                    return
            if self.running[what].poll() is not None:
                break
            time.sleep(0.05)
        raise LabError(f"{what} does not start; its log {log} says:\n{daemons.tail(log)}")

    def arrivals(self, role):
        return measure.read_arrivals(self.path(f"replies-{role}"))

    def wait_flowing(self, seconds=20):
        """Until every probe is answered: before that there is nothing to disturb."""
        deadline = time.monotonic() + seconds
        missing = list(self.chassis.roles)
        while missing and time.monotonic() < deadline:
            time.sleep(0.2)
            missing = [role for role in missing if len(self.arrivals(role)) < 200]
        if missing:
            raise LabError(f"no traffic passes through {', '.join(missing)}; with --keep, "
                           "./dev lab exec client-1 -- ping 10.23.4.1 may tell why")

    def check_running(self):
        """Clients that ended before they were told to: sentences."""
        return [f"{what} ended early; its log is {self.state.log(what)}" for what, process in self.running.items()
                if process.poll() is not None]

    def finish(self, seconds):
        """Tell the senders to end, wait for the last bytes and the sessions' last look, then end the rest.

        Returns sentences about what did not end in time.
        """
        with open(self.stop_file, "w", encoding="utf-8"):
            pass
        deadline, late = time.monotonic() + seconds, []
        by_themselves = [what for what in self.running if what.startswith(("role-", "sessions-", "fresh-"))]
        for what in by_themselves:
            try:
                self.running[what].wait(max(deadline - time.monotonic(), 0.1))
            except Exception:  # noqa: BLE001: subprocess.TimeoutExpired only; told below
                late.append(f"{what} did not end within {seconds:.0f} s; its log is {self.state.log(what)}")
        # Probes first: their last replies still need the echo server. The server's results before its end.
        for first in ("probe-", "flags-", "capture-", "role-", "sessions-", "fresh-", "echo", "http"):
            self._end([what for what in self.running if what.startswith(first)])
        return late

    def _end(self, names):
        for what in names:
            if self.running[what].poll() is None:
                self.running[what].send_signal(signal.SIGTERM)
        for what in names:
            process = self.running[what]
            if process.poll() is None and not processes.wait_dead(processes.identity(process.pid), 15):
                process.kill()
            process.wait()

    # --- what they saw ---
    def transfers(self):
        flags = {node: measure.read_json(self.path(f"flags-{node}.json"))
                 for node in ["server"] + [f"client-{i}" for i in self.chassis.numbers]}
        found = []
        for i, role in zip(self.chassis.numbers, self.chassis.roles):
            for family in FAMILIES:
                for direction in DIRECTIONS:
                    name = f"{role}-{family}-{direction}"
                    ends = [measure.read_json(self.path(f"{end}-{name}.json")) for end in ("client", "server")]
                    found.append(measure.transfer(role, family, direction, ends,
                                                  (flags[f"client-{i}"], flags["server"]),
                                                  self.minimum_bytes))
        return found

    def sessions(self):
        found = []
        for role in self.chassis.roles:
            for transport, _ in SESSION_CLIENTS:
                told = measure.read_json(self.path(f"sessions-{role}-{transport}.json"))
                told = told or {"kept": 0, "lost": 0, "went_back": 0, "reconnects": 0, "made_ns": [],
                                "counted_twice": 0, "undone_ns": [],
                                "longest_wait_ms": 0, "error": "its client told nothing"}
                found.append(told | {"role": role, "transport": transport})
        return found

    def captures(self):
        return {node: measure.read_json(self.path(f"capture-{node}.json")) for node in ("switch", self.chassis.standby)}

    def lost_packets(self):
        """Frames that a capture had no room for: sentences, since such a capture proves nothing."""
        found = []
        for what in self.running:
            if what.startswith(("capture-", "flags-")):
                told = measure.read_json(self.path(f"{what}.json"))
                if told is None:
                    found.append(f"{what} left no result; its log is {self.state.log(what)}")
                elif told["dropped"]:
                    found.append(f"{what} missed {told['dropped']} frames, so it proves nothing")
        return found

    def fresh(self, role):
        return measure.read_json(self.path(f"fresh-{role}.json")) or {"made": 0, "failed": 1,
                                                                      "last_error": "no result", "connections": []}

    def probe_summary(self, role):
        return measure.read_json(self.path(f"probe-{role}.json"))
