# SPDX-License-Identifier: Apache-2.0
"""The report and the verdict. Pure: everything measured comes in as arguments."""
import statistics

from . import measure

TRANSFER_FIELDS = ("role", "family", "direction", "bytes", "sha256_ok", "connections", "resets")


def wrong_transfer(one):
    """What is not as promised of one transfer of measure.transfer. An end whose packets nobody saw proves nothing."""
    name = f"{one['role']} {one['direction']} over {one['family']}"
    wrong = []
    if not one["sha256_ok"]:
        wrong.append(f"{name}: the hashes differ or it broke after {one['bytes']} bytes")
    for end, seen in one["seen"].items():
        if seen is None:
            wrong.append(f"{name}: not seen by the capture at the {end}")
            continue
        if seen["resets"]:
            wrong.append(f"{name}: {seen['resets']} resets were counted at the {end}")
        if seen["syns"] != 1:
            wrong.append(f"{name}: {seen['syns']} SYNs were counted at the {end} instead of one")
    return wrong


def verdict(report, run):
    """What is not as promised, one sentence each; empty means success. `run`: what the report has no field for."""
    wrong = [sentence for one in run["transfers"] for sentence in wrong_transfer(one)]
    for one in report["sessions"]:
        name = f"{one['role']} sessions over {one['transport']}"
        if one["lost"] or one["went_back"]:
            wrong.append(f"{name}: {one['lost']} lost, {one['went_back']} went back")
        if not one["kept"]:
            wrong.append(f"{name}: none was kept")
    for role, one in report["probe"].items():
        if not one["received"]:
            wrong.append(f"{role}: the probe got no reply")
        elif role not in run["moved_roles"] and one["sent"] != one["received"]:
            wrong.append(f"{role} did not move, and of its {one['sent']} probe packets {one['received']} came back")
    if report["owners"]["violations"]:
        wrong.append(f"{report['owners']['violations']} times an address had two owners")
    for role in run["moved_roles"]:
        if report["final"][role]["place"] != run["standby_place"]:
            wrong.append(f"{role} ended on {report['final'][role]['place']}, not on {run['standby_place']}")
        if report["application"][role]["maps_same_inode"] is not True:
            wrong.append(f"{role}: its application on the host has not mapped the inode that QEMU had")
    for role, place in run["places_before"].items():
        if role not in run["moved_roles"] and report["final"][role]["place"] != place:
            wrong.append(f"{role} changed its place: {place} before, {report['final'][role]['place']} after")
    if report["guests_running"]:
        wrong.append(f"{report['guests_running']} guests still run")
    return wrong + run["problems"]


def build(chassis, seen):
    """`seen`: a Seen of scenario.py."""
    moved = seen.role
    found = measure.phase_events(seen.events, moved, seen.killed_ns)
    takeover, movement = measure.windows(found, seen.killed_ns)
    nothing = dict.fromkeys((f"{name}_ms" for name in measure.PHASES))
    own_phases = measure.phases(found)
    if own_phases["first_packet_ms"] is None:
        own_phases["first_packet_ms"] = measure.first_packet_ms(found, seen.arrivals[moved])
    return {
        "transfers": [{key: one[key] for key in TRANSFER_FIELDS} for one in seen.transfers],
        "sessions": [{key: one[key] for key in ("role", "transport", "kept", "lost", "went_back", "reconnects")}
                     for one in seen.sessions],
        "probe": {role: probe(seen, role, takeover, movement) for role in chassis.roles},
        "phases": {role: own_phases if role == moved else dict(nothing) for role in chassis.roles},
        "application": {role: {"maps_same_inode": seen.same_inode if role == moved else None}
                        for role in chassis.roles},
        "final": {role: seen.final.get(role, {"place": None, "term": None}) for role in chassis.roles},
        "owners": {"violations": seen.violations},
        "guests_running": seen.guests_running,
    }


def probe(seen, role, takeover, movement):
    arrivals, summary = seen.arrivals[role], seen.probe_summaries[role] or {"sent": 0, "received": 0}
    gap = lambda window: measure.gap_ms(arrivals, *window) if window and role == seen.role else None  # noqa: E731
    return {"sent": summary["sent"], "received": summary["received"],
            "baseline_gap_ms": measure.gap_ms(arrivals, *seen.baseline),
            "takeover_gap_ms": gap(takeover), "movement_gap_ms": gap(movement)}


def spread(values):
    values = sorted(value for value in values if value is not None)
    if not values:
        return {"minimum": None, "median": None, "maximum": None}
    return {"minimum": values[0], "median": round(statistics.median(values), 3), "maximum": values[-1]}


def failed(error):
    """Stands for the report of a run that did not come to its end."""
    return {"error": str(error) or type(error).__name__}


def is_failed(run):
    return "error" in run


def moved_role(run):
    """The role whose takeover or movement was measured, None when no run came so far."""
    for role, one in run["probe"].items():
        if run["application"][role]["maps_same_inode"] is not None or one["takeover_gap_ms"] is not None:
            return role
    return None


def line(number, run, wrong):
    """One run in one line."""
    if is_failed(run):
        return f"run {number}: FAILED: {run['error'].splitlines()[0]}"
    result = f"FAILED ({len(wrong)} of the promises)" if wrong else "passed"
    role = moved_role(run)
    if role is None:
        return f"run {number}: {result}; no role moved"
    takeover, movement = ("none" if gap is None else f"{gap:.1f} ms" for gap in (
        run["probe"][role]["takeover_gap_ms"], run["probe"][role]["movement_gap_ms"]))
    return f"run {number}: {result}; largest gap of {role}: {takeover} at the takeover, {movement} at the movement"


def summary(runs):
    """Minimum, median and maximum over the runs, of the role that moved."""
    figures = {}
    for run in runs:
        if is_failed(run):
            continue
        if (role := moved_role(run)) is None:
            continue
        for key in ("baseline_gap_ms", "takeover_gap_ms", "movement_gap_ms"):
            figures.setdefault(key, []).append(run["probe"][role][key])
        for key, value in run["phases"][role].items():
            figures.setdefault(key, []).append(value)
    return {key: spread(values) for key, values in figures.items()}
