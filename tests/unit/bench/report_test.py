# SPDX-License-Identifier: Apache-2.0
import unittest

import python_path  # noqa: F401
from understudy_bench import cli, report
from understudy_demo import schema

MACHINE = {"cpu": "a processor", "cores": 2, "virtual": True, "kernel": "6.1", "memory_bytes": 1 << 34, "load": 0.5}
CONTEXT = {"date": "today", "key_bytes": "8", "value_bytes": "24", "batch": "64", "picks": "1000",
           "budget_s": "0.500000"}


def one(name, **more):
    """As Google Benchmark writes a repetition."""
    return {"name": f"{name}/iterations:1/repeats:3/manual_time", "run_type": "iteration", "time_unit": "us",
            "real_time": 1.0, "items_per_second": 1.0, "items": 10.0, "bounded": 0.0, **more}


def rates(name, *values, **more):
    return [one(name, items_per_second=value, **more) for value in values]


def aggregate(name, value):
    return one(name, run_type="aggregate", aggregate_name="median", items_per_second=value)


def build(*benchmarks, what="region", notes=()):
    raw = {"context": CONTEXT, "benchmarks": [item for part in benchmarks for item in part]}
    return report.build(what, raw, MACHINE, list(notes))


def figure(built, operation, peer, records):
    found = [one for one in built["figures"]
             if (one["operation"], one["peer"], one["records"]) == (operation, peer, records)]
    return found[0] if len(found) == 1 else None


class Figures(unittest.TestCase):
    def test_is_the_median_of_the_repetitions_with_least_and_most(self):
        got = figure(build(rates("get/region/10000", 30e6, 10e6, 20e6)), "get", "region", 10_000)
        self.assertEqual((got["median"], got["least"], got["most"], got["repetitions"]), (20e6, 10e6, 30e6, 3))
        self.assertEqual(got["unit"], "records/s")

    def test_google_benchmarks_own_aggregates_are_not_counted_again(self):
        built = build(rates("get/region/10000", 10e6), [aggregate("get/region/10000", 99e6)])
        self.assertEqual(figure(built, "get", "region", 10_000)["repetitions"], 1)

    def test_a_ratio_says_how_many_times_as_fast_the_region_is(self):
        built = build(rates("get/region/10000", 10e6), rates("get/flat_map/10000", 40e6), rates("get/lmdb/10000", 2e6))
        self.assertEqual(figure(built, "get", "flat_map", 10_000)["ratio"], 0.25)
        self.assertEqual(figure(built, "get", "lmdb", 10_000)["ratio"], 5)
        self.assertIsNone(figure(built, "get", "region", 10_000)["ratio"])

    def test_of_times_and_bytes_less_is_better(self):
        built = build([one("attach/region/10000", real_time=20.0), one("attach/lmdb/10000", real_time=80.0)],
                      rates("insert/region/10000", 1e6, bytes_per_record=100.0, mapping_bytes_per_record=6000.0),
                      rates("insert/redis/10000", 1e6, bytes_per_record=50.0, mapping_bytes_per_record=0.0))
        self.assertEqual(figure(built, "attach", "lmdb", 10_000)["ratio"], 4)
        self.assertEqual(figure(built, "memory", "redis", 10_000)["ratio"], 0.5)
        self.assertEqual(figure(built, "mapping", "region", 10_000)["median"], 6000)
        self.assertIsNone(figure(built, "mapping", "redis", 10_000))

    def test_times_are_told_in_microseconds_whatever_the_program_wrote(self):
        for unit, value in (("ns", 50_000.0), ("us", 50.0), ("ms", 0.05), ("s", 0.00005)):
            built = build([one("attach/region/10000", real_time=value, time_unit=unit)])
            self.assertAlmostEqual(figure(built, "attach", "region", 10_000)["median"], 50)

    def test_a_size_is_compared_with_the_same_size_only(self):
        built = build(rates("get/region/10000", 10e6), rates("get/lmdb/1000000", 1e6))
        self.assertIsNone(figure(built, "get", "lmdb", 1_000_000)["ratio"])

    def test_one_repetition_that_its_budget_ended_marks_the_figure(self):
        built = build(rates("get/redis/10000", 1e6), rates("get/redis/10000", 1e6, bounded=1.0))
        self.assertTrue(figure(built, "get", "redis", 10_000)["bounded"])

    def test_a_peer_that_could_not_run_is_an_error_and_has_no_figure(self):
        failed = one("get/redis/10000", error_occurred=True, error_message="redis: gone")
        built = build(rates("get/region/10000", 10e6), [failed, failed])
        self.assertIsNone(figure(built, "get", "redis", 10_000))
        self.assertEqual(built["errors"], ["get of redis with 10 k records: redis: gone"])


class Targets(unittest.TestCase):
    def test_are_met_or_missed_at_ten_million_records(self):
        built = build(rates("insert/region/10000000", 11e6), rates("get/region/10000000", 9e6),
                      [one("attach/region/10000000", real_time=60.0)])
        self.assertEqual({one["operation"]: one["met"] for one in built["targets"]},
                         {"insert": True, "get": False, "attach": True})

    def test_what_was_not_measured_is_neither(self):
        self.assertEqual(build(rates("get/region/1000000", 99e6), rates("get/lmdb/10000000", 99e6))["targets"], [])

    def test_replication_is_held_against_raw_tcp(self):
        built = build(rates("replicate/replication/1000000", 60e6), rates("replicate/raw_tcp/1000000", 100e6),
                      what="replication")
        self.assertEqual([(one["against"], one["reached"], one["met"]) for one in built["targets"]],
                         [("raw_tcp", 0.6, False)])


    def test_an_event_of_conntrack_costs_at_most_two_microseconds_however_many_there_are(self):
        built = build([one("capture/collector/40000", real_time=2.5, total_us=9.0)], what="capture")
        self.assertEqual([(one["operation"], one["bound"], one["met"]) for one in built["targets"]],
                         [("capture", 2, False)])
        self.assertEqual(figure(built, "capture_total", "collector", 40_000)["median"], 9)


class Shown(unittest.TestCase):
    def full(self):
        """Every operation at every size, with large ratios."""
        benchmarks = []
        for operation, (unit, _, _) in report.OPERATIONS.items():
            if operation in ("memory", "mapping", "replicate_changes", "sender_cpu", "receiver_cpu", "capture_total"):
                continue
            for peer in ("region", "region_huge", "interprocess", "redis"):
                for size in cli.SIZES:
                    scale = 1e9 if peer == "region" else 999e3
                    benchmarks.append(one(f"{operation}/{peer}/{size}", items_per_second=scale, real_time=1234.5,
                                          bounded=1.0, bytes_per_record=117.9, mapping_bytes_per_record=6710.0))
        return build(benchmarks, notes=["word " * 60])

    def test_lines_have_at_most_100_columns(self):
        lines = list(report.show(self.full()))
        self.assertLessEqual(max(map(len, lines)), report.COLUMNS)

    def test_a_row_has_figure_ratio_and_spread(self):
        built = build(rates("get/region/10000", 41.4e6), rates("get/lmdb/10000", 4e6, 4.14e6, 5e6))
        row = next(line.split() for line in report.show(built) if line.split()[:1] == ["lmdb"])
        self.assertEqual(row, ["lmdb", "4.14", "x10.0", "+-12", "%"])

    def test_a_missing_size_is_a_dash(self):
        built = build(rates("get/region/10000", 1e6), rates("get/region/10000000", 1e6), rates("get/lmdb/10000", 1e6))
        row = next(line.split() for line in report.show(built) if line.split()[:1] == ["lmdb"])
        self.assertEqual(row[:4], ["lmdb", "1.00", "x1.00", "-"])

    def test_missed_targets_notes_and_errors_are_told(self):
        built = build(rates("get/region/10000000", 9.9e6), notes=["a note"])
        built["errors"] = ["an error"]
        text = "\n".join(report.show(built))
        self.assertIn("get at 10 M: at least 10.0 M; reached 9.90 M: MISSED", text)
        self.assertIn("  a note", text)
        self.assertIn("  an error", text)

    def test_a_figure_that_its_budget_ended_has_a_star_and_a_footnote(self):
        built = build(rates("get/redis/10000", 23e3, bounded=1.0))
        lines = list(report.show(built))
        self.assertTrue(any(" 0.02*" in line for line in lines), lines)
        self.assertIn("* ended after 0.5 s, before all picks were done", lines)


class Schema(unittest.TestCase):
    def test_a_report_follows_it(self):
        built = build(rates("get/region/10000000", 9e6), rates("get/lmdb/10000000", 1e6), notes=["a note"])
        self.assertEqual(schema.problems(built, cli.schema_of_report()), [])

    def test_a_figure_without_its_unit_does_not(self):
        built = build(rates("get/region/10000000", 9e6))
        del built["figures"][0]["unit"]
        self.assertEqual(len(schema.problems(built, cli.schema_of_report())), 1)


class Options(unittest.TestCase):
    def test_sizes_are_numbers_with_k_or_m(self):
        self.assertEqual(cli.sizes("10k,1M,2500"), [10_000, 1_000_000, 2500])


if __name__ == "__main__":
    unittest.main()
