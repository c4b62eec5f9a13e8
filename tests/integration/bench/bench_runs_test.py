# SPDX-License-Identifier: Apache-2.0
"""The benchmark's program runs, and what it started and reserved is gone afterwards. The program itself looks whether
every record was found with its value: an engine that loses one has an error here.

Covers: bench/region/bed.cpp, bench/region/engines/flat_map.cpp, bench/region/engines/interprocess.cpp,
bench/region/engines/lmdb.cpp, bench/region/engines/redis.cpp, bench/region/engines/region.cpp
"""
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
HUGE_PAGES = "/proc/sys/vm/nr_hugepages"


def huge_pages():
    with open(HUGE_PAGES, encoding="utf-8") as file:
        return int(file.read())


class Region(unittest.TestCase):
    def test_every_peer_has_figures_and_nothing_stays_behind(self):
        before = huge_pages()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "report.json")
            words = ["region", "--quick", "--sizes", "2000,3000", "--repetitions", "2", "--budget-s", "0.02",
                     "--key-bytes", "16", "--json", path]
            done = subprocess.run([sys.executable, "-B", os.path.join(ROOT, "bench", "understudy-bench"), *words],
                                  check=False, capture_output=True, text=True, timeout=100)
            self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
            with open(path, encoding="utf-8") as file:
                report = json.load(file)
        self.assertEqual(report["errors"], [])
        peers = {one["peer"] for one in report["figures"] if one["operation"] == "get"}
        self.assertLessEqual({"region", "flat_map", "interprocess", "lmdb", "redis"}, peers)
        self.assertEqual({one["records"] for one in report["figures"]}, {2000, 3000})
        self.assertEqual(glob.glob("/dev/shm/understudy-bench.*"), [])
        self.assertEqual(huge_pages(), before)


if __name__ == "__main__":
    unittest.main()
