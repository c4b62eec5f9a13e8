# SPDX-License-Identifier: Apache-2.0
"""What happened, for a person: 100 columns, colours only on a terminal."""
import os
import sys
import textwrap
import threading
import time

from . import measure

COLUMNS = 100
COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "36", "bold": "1", "dim": "2"}
PHASE_TEXT = {
    "detect": "the blade's silence was noticed",
    "decide": "control-server and mirror agree",
    "isolate": "cut off at the switch, read back",
    "activate": "the mirror has all state installed, then opens",
    "first_packet": "the first packet passes through the mirror",
    "prepare": "connections and application stand ready on the host", "judge": "the movement is worth it, and now",
    "quiesce": "the guest has drained, its sequence is known", "freeze": "the guest is frozen (QMP stop)",
    "finish": "the last changes are installed",
    "commit": "the host owns the role: no way back",
    "resume": "the host serves and announces",
    "release": "all guests are shut down",
}


class Timeline:
    def __init__(self, out=sys.stdout):
        self._out, self._lock = out, threading.Lock()
        self._colour = out.isatty() and "NO_COLOR" not in os.environ
        self._zero_ns = time.time_ns()
        self.role = None

    def paint(self, text, colour):
        return f"\033[{COLOURS[colour]}m{text}\033[0m" if self._colour else text

    def say(self, text, colour=None, at_ns=None):
        seconds = ((at_ns or time.time_ns()) - self._zero_ns) / 1e9
        prefix = f"{seconds:+9.3f} s  "
        with self._lock:
            width = COLUMNS - len(prefix)
            for index, line in enumerate(textwrap.wrap(text, width, subsequent_indent="  ") or [""]):
                shown = self.paint(line, colour) if colour else line
                print((prefix if index == 0 else " " * len(prefix)) + shown, file=self._out, flush=True)

    def plain(self, text="", colour=None):
        lines = textwrap.wrap(text, COLUMNS, subsequent_indent="    ") if len(text) > COLUMNS else [text]
        with self._lock:
            for line in lines:
                print(self.paint(line, colour) if colour else line, file=self._out, flush=True)

    def zero(self, at_ns):
        """From now on times count from here."""
        self._zero_ns = at_ns

    def event(self, event):
        """One event of the control-server. Phases in full, alarms in full, the rest only while it concerns the role."""
        if event.get("kind") == "phase":
            name = event.get("phase", "?")
            self.say(f"{name:13}{event['ms']:9.1f} ms  {PHASE_TEXT.get(name, '')}", "blue", event["time_ns"])
        elif event.get("severity") in ("alarm", 2):
            self.say(f"alarm: {event.get('text', '')}", "red", event["time_ns"])
        elif event.get("kind") == "state" and self.role and event.get("role") == self.role:
            self.say(event.get("text", ""), "dim", event["time_ns"])


def number(value, width=8):
    return ("-" if value is None else f"{value:.1f}").rjust(width)


def show_result(timeline, report, seen, wrong):
    say = timeline.plain
    say()
    say("probe, 1 ms: largest gap (ms)   sent   received   at rest  takeover  movement", "bold")
    for role, one in report["probe"].items():
        say(f"  {role:22} {one['sent']:11} {one['received']:10} {number(one['baseline_gap_ms'], 9)} "
            f"{number(one['takeover_gap_ms'], 9)} {number(one['movement_gap_ms'], 9)}")
    others = [f"{role} {number(gap, 0)}" for role, gap in seen.other_gaps.items() if gap is not None]
    if others:
        say(f"  the other roles, largest gap from the failure to the end: {', '.join(others)} ms", "dim")
    say("transfers                          MB   hashes   SYNs   resets", "bold")
    for one in report["transfers"]:
        good = "equal" if one["sha256_ok"] else "WRONG"
        say(f"  {one['role']:9} {one['direction']:9} {one['family']:5} {one['bytes'] / 1e6:11.1f} {good:>8} "
            f"{one['connections']:6} {one['resets']:8}")
    say("sessions                kept   lost   went back   reconnects   made on the mirror   longest wait ms", "bold")
    for one in seen.sessions:
        on_mirror = measure.within(one["made_ns"], seen.on_mirror) if one["role"] == seen.role else "-"
        say(f"  {one['role']:9} {one['transport']:6} {one['kept']:9} {one['lost']:6} {one['went_back']:11} "
            f"{one['reconnects']:12} {on_mirror:>20} {number(one.get('longest_wait_ms'), 17)}")
    if seen.undone:
        say(f"  {seen.undone} sessions lost replies that were told as EXPOSED before the failure: "
            "no mirror held them")
    made, failed = len(seen.fresh["connections"]), seen.fresh["failed"]
    on_mirror = measure.within([begin for begin, _ in seen.fresh["connections"]], seen.on_mirror)
    say(f"new connections through {seen.role}: {made} made, {on_mirror} of them while on its mirror, {failed} failed")
    say(f"memory: the application on the host has mapped the inode of the guest's region: "
        f"{ {True: 'yes', False: 'NO', None: 'unknown'}[seen.same_inode] } ({seen.inode_text})")
    say(f"owners: {report['owners']['violations']} violations; guests running: {report['guests_running']}; "
        + ", ".join(f"{role} on {one['place']} (term {one['term']})" for role, one in report["final"].items()))
    for sentence in wrong:
        say(f"  not as promised: {sentence}", "red")
    say("PASSED" if not wrong else f"FAILED: {len(wrong)} of the promises", "green" if not wrong else "red")
