# SPDX-License-Identifier: Apache-2.0
"""Nothing but a lease allows the takeover: the active is frozen, so its kernel forwards on under the role's addresses,
the switch refuses to isolate it, its power unit to power it off. Its gate closes by itself; the mirror serves only
after it has said that it grants no more and the lease was counted out, not while it cannot be asked; the thawed
active does not open its gate again. Before: a mirror that hangs does not silence its healthy active."""
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import blades, say, until  # noqa: E402
from lease_case import COUNTED_S, ELEMENT_S, SECOND, LeaseCase  # noqa: E402
from understudy_lab import processes  # noqa: E402


class OnlyALease(LeaseCase):
    def test_is_evidence_when_it_was_counted_out(self):
        self.a_mirror_that_hangs_does_not_silence_its_active()
        frozen = self.freeze_the_active_and_its_mirror()
        self.a_mirror_that_cannot_be_asked_is_no_evidence(frozen)
        self.signal_mirror(signal.SIGCONT)
        say("the mirror goes on")
        self.is_counted_out(frozen)
        self.the_thawed_active_stays_silent()
        self.finish_traffic(fresh=False)

    def signal_mirror(self, number):
        guests = self.guests()
        self.assertEqual(len(guests), 1)
        self.assertTrue(processes.send(processes.identity(guests[0]), number))

    def a_mirror_that_hangs_does_not_silence_its_active(self):
        since = time.time_ns()
        self.signal_mirror(signal.SIGSTOP)
        say("the mirror hangs")
        until(lambda: self.role()["lease"] != "armed", "the role is exposed without grants", 10)
        until(lambda: time.time_ns() > since + 3 * ELEMENT_S * SECOND and self.arrivals_since(since)[-1:] >
              [since + 3 * ELEMENT_S * SECOND], "the active serves on without grants", 4 * ELEMENT_S + 5)
        arrivals = [since, *self.arrivals_since(since)]
        self.assertLess(max(b - a for a, b in zip(arrivals, arrivals[1:])), SECOND, "its gate was never closed")
        self.signal_mirror(signal.SIGCONT)
        say("the mirror goes on")
        self.wait_state("protected", 60)
        self.wait_lease("armed")

    def freeze_the_active_and_its_mirror(self):
        with open(self.hangs, "w", encoding="utf-8"):
            pass
        frozen = time.time_ns()
        blades.signal_all(self.state, self.active, signal.SIGSTOP)
        say(f"{self.active} is frozen, and the switch does not answer")
        self.wait_event(lambda event: event["kind"] == "state" and "taking-over" in event["text"], "a takeover begins",
                        frozen, 10)
        self.signal_mirror(signal.SIGSTOP)
        os.unlink(self.hangs)
        say("the mirror hangs, and the switch answers")
        self.is_refused(frozen)
        return frozen

    def evidence(self, events, since):
        return [event["text"] for event in events if event["time_ns"] >= since
                and (event.get("phase") == "activate" or "stop-evidence" in event["text"])]

    def a_mirror_that_cannot_be_asked_is_no_evidence(self, frozen):
        self.wait_lease("stopping")
        self.assertFalse(self.stream.wait(lambda events: self.evidence(events, frozen), COUNTED_S + ELEMENT_S),
                         "nobody was activated by a lease that nobody has stopped")
        role = self.role()
        self.assertEqual((role["state"], role["place"]["blade"], role["lease"]),
                         ("taking-over", self.active, "stopping"))
        self.assertIn("cannot isolate", role["detail"])

    def the_thawed_active_stays_silent(self):
        since = time.time_ns()
        blades.signal_all(self.state, self.active, signal.SIGCONT)
        say(f"{self.active} is thawed; the switch has not isolated it")
        self.stays_silent_when_it_is_back(since)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
