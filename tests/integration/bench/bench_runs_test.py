# SPDX-License-Identifier: Apache-2.0
# Covers: bench/region/bed.cpp, bench/region/engines/flat_map.cpp, bench/region/engines/interprocess.cpp,
#   bench/region/engines/lmdb.cpp, bench/region/engines/redis.cpp, bench/region/engines/region.cpp,
#   bench/replication/raw_tcp.cpp, bench/replication/raw_tls.cpp, bench/replication/replication.cpp,
#   bench/capture/kernel_flows.cpp
"""The benchmark's program runs, and what it started and reserved is gone afterwards. The program itself looks whether
every record was found with its value: an engine that loses one has an error here."""
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))


def left_behind():
    """Directories and with them mounts: one that is still mounted cannot be removed."""
    return glob.glob("/dev/shm/understudy-bench.*")


class Runs(unittest.TestCase):
    def report(self, *words):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "report.json")
            command = [sys.executable, "-B", os.path.join(ROOT, "bench", "understudy-bench"), *words]
            done = subprocess.run([*command, "--quick", "--repetitions", "2", "--json", path], check=False,
                                  capture_output=True, text=True, timeout=100)
            self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
            with open(path, encoding="utf-8") as file:
                report = json.load(file)
        self.assertEqual(report["errors"], [])
        self.assertEqual(left_behind(), [])
        return report

    def test_every_peer_of_the_region_has_figures(self):
        report = self.report("region", "--sizes", "2000,3000", "--budget-s", "0.02", "--key-bytes", "16")
        for operation in ("get", "churn"):
            peers = {one["peer"] for one in report["figures"] if one["operation"] == operation}
            self.assertLessEqual({"region", "flat_map", "interprocess", "lmdb", "redis"}, peers, operation)
        self.assertEqual({one["records"] for one in report["figures"]}, {2000, 3000})

    def test_replication_has_figures_beside_raw_tcp(self):
        report = self.report("replication", "--sizes", "2000")
        self.assertEqual({(one["operation"], one["peer"]) for one in report["figures"]},
                         {("replicate", "replication"), ("replicate", "raw_tcp"), ("replicate_changes", "replication"),
                          ("replicate_sized", "replication"), ("replicate_sized", "raw_tcp"),
                          ("replicate_sized", "ten_gbit_line"),
                          ("replicate_tls", "replication"), ("replicate_tls", "raw_tls"), ("sender_cpu", "replication"),
                          ("sender_cpu", "raw_tcp"), ("receiver_cpu", "replication"), ("receiver_cpu", "raw_tcp")})

    @unittest.skipUnless(os.geteuid() == 0, "a network namespace needs root")
    def test_capture_has_its_figures(self):
        report = self.report("capture")
        self.assertEqual({one["operation"] for one in report["figures"]}, {"capture", "capture_total"})


if __name__ == "__main__":
    unittest.main()
