# SPDX-License-Identifier: Apache-2.0
import copy
import io
import unittest

import python_path  # noqa: F401
from understudy_demo import measure, report, schema
from understudy_demo.scenario import Seen, place_of
from understudy_demo.timeline import COLUMNS, Timeline, show_result
from understudy_lab.topology import Chassis

MS = measure.MS


def seen():
    """A run as it should be."""
    events = [{"kind": "phase", "time_ns": (1000 + 10 * index) * MS, "role": "role-2", "phase": name, "ms": 2.0}
              for index, name in enumerate(measure.PHASES)]
    one = Seen(role="role-2", standby_place="blade-4/host", moved_roles=["role-2"], killed_ns=1000 * MS,
               baseline=(0, 500 * MS), events=events, same_inode=True, on_mirror=(1010 * MS, 1090 * MS))
    one.places_before = {f"role-{i}": f"blade-{i}/host" for i in (1, 2, 3)}
    one.final = {"role-1": {"place": "blade-1/host", "term": 1}, "role-2": {"place": "blade-4/host", "term": 3},
                 "role-3": {"place": "blade-3/host", "term": 1}}
    one.fresh = {"connections": [(1, 2), (1050 * MS, 1051 * MS)], "failed": 0}
    for role in one.places_before:
        one.arrivals[role] = [time * MS for time in range(0, 2500) if role != "role-2" or not 1000 < time < 1060]
        one.probe_summaries[role] = {"sent": 2500, "received": len(one.arrivals[role])}
        for family in ("ipv4", "ipv6"):
            for direction in ("download", "upload"):
                one.transfers.append({"role": role, "family": family, "direction": direction, "bytes": 60_000_000,
                                      "sha256_ok": True, "connections": 1, "resets": 0,
                                      "seen": {end: {"syns": 1, "resets": 0} for end in ("client", "server")}})
        for transport in ("udp", "tcp"):
            one.sessions.append({"role": role, "transport": transport, "kept": 50, "lost": 0, "went_back": 0,
                                 "reconnects": 0,
                                 "counted_twice": 0, "undone_ns": [], "made_ns": [1050 * MS],
                                 "error": "", "longest_wait_ms": 3.5})
    return one


def put(path, value):
    """A change: the value at the path."""
    def change(built):
        for key in path[:-1]:
            built = built[key]
        built[path[-1]] = value
    return change


class Report(unittest.TestCase):
    chassis = Chassis("demo", 3)

    def build(self, one=None):
        return report.build(self.chassis, one or seen())

    def verdict(self, change_report=None, change_seen=None):
        one = seen()
        if change_seen:
            change_seen(one)
        built = self.build(one)
        if change_report:
            change_report(built)
        return report.verdict(built, vars(one))

    def test_it_follows_its_schema(self):
        self.assertEqual(schema.problems(self.build(), schema.load()), [])
        runs = [self.build(), self.build()]
        self.assertEqual(schema.problems({"runs": runs, "summary": report.summary(runs)}, schema.load()), [])

    def test_fields_of_roles_that_did_not_move_are_null(self):
        got = self.build()
        self.assertEqual(set(got["phases"]["role-1"].values()), {None})
        self.assertIsNone(got["probe"]["role-1"]["takeover_gap_ms"])
        self.assertIsNotNone(got["probe"]["role-1"]["baseline_gap_ms"])
        self.assertIsNone(got["application"]["role-1"]["maps_same_inode"])
        self.assertEqual(got["probe"]["role-2"]["takeover_gap_ms"], 60)

    def test_a_run_as_it_should_be_passes(self):
        self.assertEqual(self.verdict(), [])

    def test_each_promise_that_is_broken_fails_the_run(self):
        for path, value in ((("sessions", 0, "lost"), 1), (("sessions", 3, "went_back"), 1),
                            (("sessions", 3, "kept"), 0),
                            (("owners", "violations"), 1), (("final", "role-2", "place"), "blade-4/mirror"),
                            (("final", "role-1", "place"), "blade-4/mirror"), (("final", "role-3", "place"), None),
                            (("guests_running",), 1), (("application", "role-2", "maps_same_inode"), False),
                            (("application", "role-2", "maps_same_inode"), None), (("probe", "role-1", "received"), 0),
                            (("probe", "role-2", "received"), 0)):
            with self.subTest(path):
                self.assertEqual(len(self.verdict(put(path, value))), 1)
        self.assertEqual(self.verdict(change_seen=lambda one: one.problems.append("late")), ["late"])

    def test_each_promise_about_a_transfer_that_is_broken_at_either_end_fails_the_run(self):
        for path, value, told in (
                (("sha256_ok",), False, "the hashes differ"),
                (("seen", "client", "resets"), 1, "1 resets were counted at the client"),
                (("seen", "server", "resets"), 3, "3 resets were counted at the server"),
                (("seen", "client", "syns"), 2, "2 SYNs were counted at the client instead of one"),
                (("seen", "server", "syns"), 0, "0 SYNs were counted at the server instead of one"),
                (("seen", "client"), None, "not seen by the capture at the client"),
                (("seen", "server"), None, "not seen by the capture at the server")):
            with self.subTest(path):
                wrong = self.verdict(change_seen=lambda one: put(path, value)(one.transfers[5]))
                self.assertEqual(len(wrong), 1)
                self.assertIn("role-2 upload over ipv4: " + told, wrong[0])

    def test_a_role_that_did_not_move_loses_no_probe_packet(self):
        self.assertEqual(self.verdict(put(("probe", "role-1", "received"), 2499)),
                         ["role-1 did not move, and of its 2500 probe packets 2499 came back"])
        self.assertEqual(self.verdict(put(("probe", "role-2", "received"), 2400)), [], "one that moves may lose some")

    def test_the_schema_refuses_what_is_not_a_report(self):
        for damage in (lambda built: built.pop("owners"), lambda built: built.update(more=1),
                       lambda built: built["transfers"][0].update(family="ipx"),
                       lambda built: built["transfers"][0].update(resets=-1),
                       lambda built: built["transfers"][0].update(sha256_ok=1),
                       lambda built: built["phases"]["role-1"].pop("judge_ms"),
                       lambda built: built["final"]["role-1"].update(place="somewhere"),
                       lambda built: built.update(transfers=[])):
            built = copy.deepcopy(self.build())
            damage(built)
            self.assertNotEqual(schema.problems(built, schema.load()), [])

    def test_the_summary_has_minimum_median_and_maximum_of_the_role_that_moved(self):
        runs = [self.build() for _ in range(3)]
        for run, gap in zip(runs, (30, 10, 20)):
            run["probe"]["role-2"]["movement_gap_ms"] = gap
        self.assertEqual(report.summary(runs)["movement_gap_ms"], {"minimum": 10, "median": 20, "maximum": 30})
        self.assertEqual(report.spread([None]), {"minimum": None, "median": None, "maximum": None})

    def test_the_terminal_shows_it_in_a_hundred_columns_and_without_colours_in_a_file(self):
        out, one = io.StringIO(), seen()
        timeline = Timeline(out)
        timeline.role = "role-2"
        for event in one.events:
            timeline.event(event)
        timeline.event({"kind": "note", "severity": "alarm", "text": "x" * 300, "time_ns": 1})
        show_result(timeline, self.build(one), one, ["something"])
        text = out.getvalue()
        self.assertNotIn("\033", text)
        self.assertIn("FAILED", text)
        self.assertEqual([line for line in text.splitlines() if len(line) > COLUMNS], [])

    def test_a_place_is_read_however_it_is_spelled(self):
        for role in ({"place": "blade-4/host"}, {"place": {"blade": "blade-4", "kind": "host"}},
                     {"blade": "blade-4", "kind": "host"}):
            self.assertEqual(place_of(role), "blade-4/host")


if __name__ == "__main__":
    unittest.main()
