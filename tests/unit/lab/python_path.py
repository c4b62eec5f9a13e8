# SPDX-License-Identifier: Apache-2.0
"""Where the lab's Python lies."""
import os
import sys

LAB = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))),
                   "lab")
sys.path.insert(0, LAB)
