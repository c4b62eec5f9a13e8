# SPDX-License-Identifier: Apache-2.0
"""The demo's traffic through a gateway set up by hand, with the session service beside it: what the demo collects when
nothing goes wrong, and that it notices when something does."""
# Covers: lab/traffic/session_connection.cpp, lab/traffic/session_main.cpp
import json
import os
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from lab_case import LabCase, blades, lab, until  # noqa: E402
from understudy_demo import measure, report  # noqa: E402
from understudy_demo.traffic import SESSION_ROUND_MS, Traffic  # noqa: E402
from understudy_lab import switch  # noqa: E402
from understudy_lab.state import State  # noqa: E402

SERVICE = os.path.join(os.environ.get("UNDERSTUDY_BUILD", ""), "bin", "session-service")


@unittest.skipUnless(os.access(SERVICE, os.X_OK), "the session service is not built")
class DemoTraffic(LabCase):
    def setUp(self):
        super().setUp()
        self.serve_by_hand(1, "blade-1")
        self.service = self.start_service()
        self.traffic = Traffic(State(self.name), lab.binaries(), 1_000_000)

    def start_service(self):
        process = subprocess.Popen(blades.inside(self.state, "blade-1", [SERVICE]), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def stop_service(self):
        """The service itself, not only the nsenter in front of it."""
        self.in_blade("blade-1", ["sh", "-c", "kill -9 $(pidof session-service)"])
        self.service.wait(10)

    def run_traffic(self, disturb=lambda: None):
        self.traffic.start_captures()
        self.traffic.start_servers()
        self.traffic.start_clients()
        self.traffic.wait_flowing()
        disturb()
        enough = time.time_ns() + 1_000_000_000
        until(lambda: self.traffic.arrivals("role-1")[-1] > enough, "the probe goes on")
        return self.traffic.finish(60)

    def sessions(self):
        return {one["transport"]: one for one in self.traffic.sessions()}

    def test_undisturbed_everything_is_as_it_should_be(self):
        self.assertEqual(self.run_traffic(), [])
        for one in self.traffic.transfers():
            self.assertEqual(report.wrong_transfer(one), [], one)
        self.assertEqual(len(self.traffic.transfers()), 4)
        for one in self.sessions().values():
            self.assertEqual((one["lost"], one["went_back"], one["counted_twice"], one["reconnects"], one["error"]),
                             (0, 0, 0, 0, ""))
            self.assertGreater(one["kept"], 3)
        captures = self.traffic.captures()
        self.assertEqual(sorted(captures), ["blade-2", "switch"])
        self.assertEqual([capture["violations"] for capture in captures.values()], [[], []])
        self.assertEqual(self.traffic.lost_packets(), [])
        self.assertEqual(self.traffic.fresh("role-1")["failed"], 0)
        summary = self.traffic.probe_summary("role-1")
        self.assertEqual(summary["sent"], summary["received"])
        arrivals = self.traffic.arrivals("role-1")
        self.assertIsNotNone(measure.gap_ms(arrivals, arrivals[0], arrivals[-1]))

    def test_a_service_that_dies_and_comes_back_with_its_region_loses_nothing(self):
        def disturb():
            self.stop_service()
            threading.Event().wait(10 * SESSION_ROUND_MS / 1000)  # the outage itself: every client asks meanwhile
            self.service = self.start_service()
        self.assertEqual(self.run_traffic(disturb), [])
        for one in self.sessions().values():
            self.assertEqual((one["lost"], one["went_back"], one["counted_twice"], one["error"]), (0, 0, 0, ""), one)
        self.assertGreaterEqual(self.sessions()["tcp"]["reconnects"], 1)
        self.assertGreaterEqual(self.sessions()["udp"]["retries"], 1)

    def test_a_service_that_forgets_is_noticed(self):
        def disturb():
            self.stop_service()
            self.in_blade("blade-1", ["sh", "-c", "rm /dev/shm/understudy-*"])
            self.service = self.start_service()
        self.run_traffic(disturb)
        for one in self.sessions().values():
            self.assertGreater(one["lost"] + one["went_back"], 0)
            self.assertNotEqual(one["error"], "")

    def test_a_gateway_that_resets_is_noticed(self):
        def disturb():
            rule = "add table inet planted\nadd chain inet planted f { type filter hook forward priority -10; }\n" \
                   "add rule inet planted f meta l4proto tcp tcp dport 8080 reject with tcp reset\n"
            self.in_blade("blade-1", ["nft", "-f", "-"], rule)
        self.run_traffic(disturb)
        broken = self.traffic.transfers()
        self.assertEqual([one["sha256_ok"] for one in broken], [False] * 4)
        self.assertGreater(min(one["resets"] for one in broken), 0)
        for one in broken:
            self.assertIn("resets were counted at the", "; ".join(report.wrong_transfer(one)))

    def test_a_capture_that_saw_nothing_of_the_transfers_is_told(self):
        self.assertEqual(self.run_traffic(lambda: None), [])
        with open(self.traffic.path("flags-server.json"), "w", encoding="utf-8") as file:
            json.dump({"connections": [], "dropped": 0}, file)
        for one in self.traffic.transfers():
            name = f"role-1 {one['direction']} over {one['family']}"
            self.assertEqual(report.wrong_transfer(one), [f"{name}: not seen by the capture at the server"])

    def test_a_silence_shows_in_the_probe_and_breaks_no_transfer(self):
        times = []

        def disturb():
            times.append(time.time_ns())
            switch.silence(self.chassis, "cut", ["b1-ext"])
            until(lambda: time.time_ns() - self.traffic.arrivals("role-1")[-1] > 300_000_000, "no reply for a while")
            switch.heal(self.chassis)
            until(lambda: self.traffic.arrivals("role-1")[-1] > time.time_ns() - 500_000_000, "the probe is back")
            times.append(time.time_ns())
        self.assertEqual(self.run_traffic(disturb), [])
        self.assertGreater(measure.gap_ms(self.traffic.arrivals("role-1"), *times), 290)
        self.assertEqual([(one["sha256_ok"], one["resets"]) for one in self.traffic.transfers()], [(True, 0)] * 4)


if __name__ == "__main__":
    unittest.main()
