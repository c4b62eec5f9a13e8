# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition with a deadline: the only kind of waiting that tests do."""
import time


def until(condition, what, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")
