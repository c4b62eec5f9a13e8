# SPDX-License-Identifier: Apache-2.0
"""Where the benchmarks' Python and the lab's lie."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
sys.path[:0] = [os.path.join(ROOT, "bench"), os.path.join(ROOT, "lab")]
