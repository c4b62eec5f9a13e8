# SPDX-License-Identifier: Apache-2.0
"""One run, in order:

    lab up ── traffic in every intranet ── undisturbed window ── power off a blade
       ── takeover ── on its mirror ── movement ── all guests down ── transfers end ── sessions' last look ── report
"""
import dataclasses
import time

from understudy_lab import blades, daemons, lab
from understudy_lab.errors import LabError

from . import measure, memory
from .events import EventStream
from .traffic import Traffic


@dataclasses.dataclass
class Seen:
    """What a run saw; the report is built from it."""
    role: str
    standby_place: str
    moved_roles: list = dataclasses.field(default_factory=list)
    places_before: dict = dataclasses.field(default_factory=dict)
    problems: list = dataclasses.field(default_factory=list)
    undone: int = 0  # told as EXPOSED before the failure and undone by it
    events: list = dataclasses.field(default_factory=list)
    baseline: tuple = (None, None)
    killed_ns: int = 0
    dead_ns: int = 0
    on_mirror: tuple | None = None
    same_inode: bool | None = None
    inode_text: str = "not seen"
    arrivals: dict = dataclasses.field(default_factory=dict)
    probe_summaries: dict = dataclasses.field(default_factory=dict)
    other_gaps: dict = dataclasses.field(default_factory=dict)
    transfers: list = dataclasses.field(default_factory=list)
    sessions: list = dataclasses.field(default_factory=list)
    fresh: dict = dataclasses.field(default_factory=dict)
    final: dict = dataclasses.field(default_factory=dict)
    violations: int = 0
    guests_running: int = 0


def place_of(role):
    """"blade-4/host", however the status spells it."""
    place = role.get("place")
    if isinstance(place, dict):
        return f"{place['blade']}/{place['kind']}"
    return place or f"{role.get('blade')}/{role.get('kind')}"


class Scenario:
    def __init__(self, options, timeline):
        self.options, self.timeline = options, timeline
        self.binaries = lab.binaries()
        self.state = self.chassis = self.traffic = self.stream = self.seen = None

    def run(self):
        """A Seen. The lab stays up: whoever called takes it down."""
        say = self.timeline.say
        chosen = {"policy": "always", "bfd_interval_ms": self.options.bfd_interval_ms, "ready_s": self.options.ready_s,
                  "memory": self.options.memory, "tls": not self.options.plain, "fencing": self.options.fencing}
        self.state = lab.up(self.options.name, self.options.actives, chosen, say)
        self.chassis = self.state.chassis
        number = min(2, self.chassis.actives)
        self.seen = Seen(role=f"role-{number}", standby_place=f"{self.chassis.standby}/host")
        self.seen.moved_roles = [self.seen.role]
        self.timeline.role = self.seen.role
        self.stream = EventStream(self.state, self.binaries, self.timeline.event)
        self.start_traffic()
        self.rest()
        self.kill(self.chassis.blade(number))
        self.wait_for_movement()
        self.finish()
        return self.seen

    def start_traffic(self):
        self.timeline.say("traffic: in every intranet a download and an upload over IPv4 and IPv6 (1 MB/s each), a UDP "
                          "probe each millisecond, session clients over UDP and TCP, new connections")
        self.traffic = Traffic(self.state, self.binaries, int(self.options.minimum_mb * 1e6))
        self.traffic.start_captures()
        self.traffic.start_servers()
        self.traffic.start_clients()
        self.traffic.wait_flowing()

    def rest(self):
        self.timeline.say(f"undisturbed for {self.options.baseline_s:.0f} s: what is the largest gap at rest?")
        begin = time.time_ns()
        time.sleep(self.options.baseline_s)
        self.seen.baseline = (begin, time.time_ns())
        if early := self.traffic.check_running():
            raise LabError("before anything was disturbed: " + "; ".join(early))
        self.seen.places_before = {role["role"]: place_of(role)
                                   for role in daemons.status(self.state, self.binaries)["roles"]}
        self.mapped_before = memory.region_of_guest(self.state, self.seen.role)

    def kill(self, blade):
        self.seen.killed_ns = time.time_ns()
        self.timeline.zero(self.seen.killed_ns)
        blades.power_off(self.state, blade)
        self.seen.dead_ns = time.time_ns()  # it may have spoken until then
        self.timeline.say(f"{blade} is powered off: its ports went silent, then everything in it died", "yellow",
                          self.seen.killed_ns)

    def phase(self, name):
        return measure.phase_events(self.stream.all, self.seen.role, self.seen.killed_ns).get(name)

    def wait_for(self, name, seconds):
        since, role = self.seen.killed_ns, self.seen.role
        if self.stream.wait(lambda events: name in measure.phase_events(events, role, since), seconds):
            return True
        self.seen.problems.append(f"the phase {name} of {role} did not end within {seconds:.0f} s")
        self.timeline.say(self.seen.problems[-1], "red")
        return False

    def wait_for_movement(self):
        """Takeover, movement and release, by events; how it ended is read from processes, memory and packets."""
        if self.wait_for("activate", 20) and self.wait_for("resume", self.options.movement_s):
            self.wait_for("release", 60)
            self.compare_memory()
        time.sleep(self.options.after_s)
        self.seen.guests_running = len(memory.guests(self.state))

    def compare_memory(self):
        after = memory.region_of_application(self.state, self.seen.role)
        before, now = (" ".join(inode or ["unknown"]) for inode in (self.mapped_before, after))
        self.seen.inode_text = f"device and inode {before} before, {now} after"
        self.seen.same_inode = None not in (self.mapped_before, after) and self.mapped_before == after

    def finish(self):
        self.timeline.say("senders may end after their minimum; the sessions are looked at for the last time")
        self.seen.problems += self.traffic.finish(self.options.minimum_mb + 90)
        self.collect()
        try:
            self.seen.final = {role["role"]: {"place": place_of(role), "term": role["term"]}
                               for role in daemons.status(self.state, self.binaries)["roles"]}
        except (LabError, ValueError, KeyError) as error:
            self.seen.problems.append(f"no status at the end: {error}")
        self.stream.close()
        self.seen.events = self.stream.all

    def collect(self):
        seen, traffic = self.seen, self.traffic
        ended = time.time_ns()
        for role in self.chassis.roles:
            seen.arrivals[role] = traffic.arrivals(role)
            seen.probe_summaries[role] = traffic.probe_summary(role)
            if role != seen.role:
                last = seen.arrivals[role][-1] if seen.arrivals[role] else ended
                seen.other_gaps[role] = measure.gap_ms(seen.arrivals[role], seen.killed_ns, last)
        seen.transfers, seen.sessions, seen.fresh = traffic.transfers(), traffic.sessions(), traffic.fresh(seen.role)
        captures = traffic.captures()
        seen.violations = sum(len(capture["violations"]) for capture in captures.values() if capture)
        seen.problems += traffic.lost_packets()
        self.judge_what_was_made()

    def judge_what_was_made(self):
        """On its mirror a role is a full one: new connections, sessions and counts. And nothing ran into an error."""
        seen = self.seen
        found = measure.phase_events(self.stream.all, seen.role, seen.killed_ns)
        if "activate" in found and "freeze" in found:
            seen.on_mirror = (found["activate"]["time_ns"], measure.begin_of(found["freeze"]))
            made = sum(measure.within(one["made_ns"], seen.on_mirror) for one in seen.sessions
                       if one["role"] == seen.role)
            if not made:
                seen.problems.append(f"no session was made while {seen.role} was on its mirror")
            if not measure.within([begin for begin, _ in seen.fresh["connections"]], seen.on_mirror):
                seen.problems.append(f"no new connection was made while {seen.role} was on its mirror")
        for one in seen.sessions:
            name = f"{one['role']} sessions over {one['transport']}"
            if one["error"]:
                seen.problems.append(f"{name}: {one['error']}")
            if one["counted_twice"]:
                seen.problems.append(f"{name}: {one['counted_twice']} counted twice")
            # Told as EXPOSED, and the blade died: that was the warning. Nothing else may undo what was told.
            unexplained = [told for told in one["undone_ns"] if one["role"] != seen.role or told > seen.dead_ns]
            if unexplained:
                seen.problems.append(f"{name}: {len(unexplained)} were undone, and no failure explains it")
            seen.undone += len(one["undone_ns"]) - len(unexplained)
        for role in self.chassis.roles:
            fresh = self.traffic.fresh(role)
            if fresh["failed"]:
                seen.problems.append(f"{fresh['failed']} new connections through {role} failed: {fresh['last_error']}")
