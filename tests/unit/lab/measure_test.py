# SPDX-License-Identifier: Apache-2.0
import os
import struct
import tempfile
import unittest

import python_path  # noqa: F401
from understudy_demo import measure

MS = measure.MS


class Gaps(unittest.TestCase):
    arrivals = [time * MS for time in (0, 1, 2, 52, 53, 54, 60, 61)]

    def test_the_largest_silence_of_the_window(self):
        self.assertEqual(measure.gap_ms(self.arrivals, 0, 61 * MS), 50)
        self.assertEqual(measure.gap_ms(self.arrivals, 53 * MS, 61 * MS), 6)

    def test_a_silence_that_begins_before_the_window_or_ends_after_it_counts_whole(self):
        self.assertEqual(measure.gap_ms(self.arrivals, 30 * MS, 53 * MS), 50)
        self.assertEqual(measure.gap_ms(self.arrivals, 0, 30 * MS), 50)

    def test_a_silence_without_an_end_lasts_to_the_windows_end(self):
        self.assertEqual(measure.gap_ms(self.arrivals, 60 * MS, 161 * MS), 100)

    def test_no_reply_is_no_figure(self):
        self.assertIsNone(measure.gap_ms([], 0, MS))
        self.assertIsNone(measure.gap_ms(self.arrivals, None, MS))

    def test_replies_are_read_in_order_of_arrival_and_half_a_record_is_left_out(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "replies")
            with open(path, "wb") as file:
                file.write(struct.pack("<Qqq", 1, 10, 30) + struct.pack("<Qqq", 0, 9, 20) + b"1234")
            self.assertEqual(measure.read_arrivals(path), [20, 30])
            self.assertEqual(measure.read_arrivals(path + "x"), [])


def end(side, **changes):
    ends = {"client": {"local": "10.50.2.2:5", "peer": "10.23.4.1:8080"},
            "server": {"local": "10.23.4.1:8080", "peer": "10.23.4.122:6"}}
    return ends[side] | {"bytes": 100, "sha256": "ab", "error": None} | changes


def flags(side, **changes):
    one = {key: end(side)[key] for key in ("local", "peer")} | {"syns": 1, "resets_in": 0, "resets_out": 0} | changes
    return {"connections": [one, one | {"local": "1.1.1.1:1", "resets_in": 9}], "dropped": 0}


class Transfers(unittest.TestCase):
    def transfer(self, client=None, server=None, client_flags=None, server_flags=None):
        return measure.transfer("role-2", "ipv4", "download", (client or end("client"), server or end("server")),
                                (client_flags or flags("client"), server_flags or flags("server")), 100)

    def test_equal_hashes_one_syn_no_reset(self):
        got = self.transfer()
        self.assertTrue(got["sha256_ok"])
        self.assertEqual((got["bytes"], got["connections"], got["resets"]), (100, 1, 0))

    def test_resets_are_counted_at_both_ends_of_this_connection_only(self):
        self.assertEqual(self.transfer(client_flags=flags("client", resets_in=1))["resets"], 1)
        self.assertEqual(self.transfer(server_flags=flags("server", resets_out=2))["resets"], 2)

    def test_whatever_is_not_whole_and_equal_is_not_right(self):
        for change in ({"client": end("client", sha256="cd")}, {"client": end("client", bytes=99)},
                       {"server": end("server", error="broke")},
                       {"server": end("server", sha256="")},
                       {"client": end("client", bytes=1), "server": end("server", bytes=1)}):
            self.assertFalse(self.transfer(**change)["sha256_ok"], change)
        self.assertFalse(measure.transfer("r", "ipv4", "upload", (None, None), (None, None), 1)["sha256_ok"])

    def test_syns_are_counted_at_both_ends(self):
        for wrong in (0, 2):
            for end_of in ("client", "server"):
                got = self.transfer(**{f"{end_of}_flags": flags(end_of, syns=wrong)})
                self.assertEqual(got["connections"], wrong)
                self.assertEqual({name: seen["syns"] for name, seen in got["seen"].items()},
                                 {"client": 1, "server": 1} | {end_of: wrong})

    def test_a_connection_that_an_end_did_not_see_is_no_connection_without_resets(self):
        nothing = {"connections": [], "dropped": 0}
        for end_of in ("client", "server"):
            got = self.transfer(**{f"{end_of}_flags": nothing})
            self.assertIsNone(got["seen"][end_of])
            self.assertEqual(got["connections"], 0)


def phase(name, time_ms, ms, role="role-2"):
    return {"kind": "phase", "time_ns": time_ms * MS, "role": role, "phase": name, "ms": ms}


class Phases(unittest.TestCase):
    events = [phase("activate", 5, 1), phase("detect", 150, 150), phase("activate", 170, 10),
              phase("prepare", 2000, 500),
              phase("quiesce", 2100, 5), phase("freeze", 2101, 1), phase("resume", 2110, 3),
              phase("release", 5000, 900, ""),
              phase("activate", 180, 1, "role-1"), phase("activate", 9000, 99), {"kind": "state", "time_ns": 160 * MS}]

    def test_only_this_roles_and_only_after_the_failure(self):
        found = measure.phase_events(self.events, "role-2", 100 * MS)
        got = measure.phases(found)
        self.assertEqual((got["detect_ms"], got["activate_ms"], got["release_ms"]), (150, 10, 900))
        self.assertIsNone(got["judge_ms"])
        self.assertEqual(len(got), 13)

    def test_windows_leave_no_instant_between_takeover_and_movement(self):
        found = measure.phase_events(self.events, "role-2", 100 * MS)
        takeover, movement = measure.windows(found, 100 * MS)
        self.assertEqual(takeover, (100 * MS, 1491 * MS))  # all of the movement's phases before its first word
        self.assertEqual(movement, (1491 * MS, 3110 * MS))

    def test_phases_told_together_at_the_end_are_a_window_that_begins_at_their_sum(self):
        found = {name: {"phase": name, "time_ns": 2000 * MS, "ms": ms}
                 for name, ms in (("prepare", 90), ("quiesce", 50), ("commit", 10), ("resume", 50))}
        self.assertEqual(measure.windows(found, 100 * MS), ((100 * MS, 1800 * MS), (1800 * MS, 3000 * MS)))

    def test_the_first_packet_is_the_first_reply_after_the_activation(self):
        found = {"activate": self.events[2]}
        self.assertEqual(measure.first_packet_ms(found, [160 * MS, 174 * MS, 175 * MS]), 4)
        self.assertIsNone(measure.first_packet_ms(found, [160 * MS]))
        self.assertIsNone(measure.first_packet_ms({}, [160 * MS]))

    def test_without_a_movement_there_is_no_window_of_it(self):
        takeover, movement = measure.windows({"activate": self.events[2]}, 100 * MS)
        self.assertEqual(takeover, (100 * MS, 1170 * MS))
        self.assertIsNone(movement)
        self.assertEqual(measure.windows({}, 1), (None, None))


if __name__ == "__main__":
    unittest.main()
