# SPDX-License-Identifier: Apache-2.0
"""Figures out of what the traffic tools wrote. Pure, but for reading files that are done."""
import bisect
import json
import struct

REPLY = struct.Struct("<Qqq")  # sequence, sent, received
PHASES = ("detect", "decide", "isolate", "activate", "first_packet", "prepare", "judge", "quiesce", "freeze", "finish",
          "commit", "resume", "release")
MS = 1_000_000


def read_json(path):
    """None when the tool did not get to write it."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def read_arrivals(path):
    """Arrival times of the probe's replies, in order. A last record that is not whole yet is left out."""
    try:
        with open(path, "rb") as file:
            whole = file.read()
    except FileNotFoundError:
        return []
    return sorted(received for _, _, received in REPLY.iter_unpack(whole[:len(whole) - len(whole) % REPLY.size]))


def largest_gap(arrivals, start_ns, end_ns):
    """(ms, beginning) of the longest silence that touches the window; a silence that has no end lasts to the window's.

    None without any arrival before the window's end.
    """
    first = max(bisect.bisect_right(arrivals, start_ns) - 1, 0)
    last = bisect.bisect_left(arrivals, end_ns)
    around = arrivals[first:last + 1]
    if not around or around[0] > end_ns:
        return None
    if around[-1] < end_ns:
        around = around + [end_ns]
    if len(around) < 2:
        return None
    gap, begin = max((later - earlier, earlier) for earlier, later in zip(around, around[1:]))
    return gap / MS, begin


def gap_ms(arrivals, start_ns, end_ns):
    found = largest_gap(arrivals, start_ns, end_ns) if start_ns is not None and end_ns is not None else None
    return None if found is None else round(found[0], 3)


def flow_of(flags, end):
    """The counted packets of one connection; `end` is a tool's result, flags are those of its node."""
    for flow in (flags or {}).get("connections", []):
        if end and flow["local"] == end["local"] and flow["peer"] == end["peer"]:
            return flow
    return None


def counted(flow):
    return None if flow is None else {"syns": flow["syns"], "resets": flow["resets_in"] + flow["resets_out"]}


def transfer(role, family, direction, ends, flags, minimum_bytes):
    """One line of the report, and `seen`: what was counted at each end, None where the connection was not seen.

    `ends`: results of (client, server); `flags`: counted packets at (client, server).
    """
    client, server = ends
    seen = {name: counted(flow_of(node, end)) for name, node, end in zip(("client", "server"), flags, ends)}
    syns = [end["syns"] if end else 0 for end in seen.values()]
    whole = all(end and end["error"] is None and end["sha256"] for end in ends)
    same = whole and client["sha256"] == server["sha256"] and client["bytes"] == server["bytes"]
    return {"role": role, "family": family, "direction": direction,
            "bytes": client["bytes"] if client else 0,
            "sha256_ok": bool(same and client["bytes"] >= minimum_bytes),
            "connections": max(syns, key=lambda count: abs(count - 1)),
            "resets": sum(end["resets"] for end in seen.values() if end),
            "seen": seen}


def phase_events(events, role, since_ns):
    """Phase name -> its event, the first of each since the failure. The release is of the blade, not of one role."""
    found = {}
    for event in events:
        if event.get("kind") != "phase" or event["time_ns"] < since_ns:
            continue
        if event.get("role") == role or (not event.get("role") and event.get("phase") == "release"):
            found.setdefault(event["phase"], event)
    return found


def phases(found):
    return {f"{name}_ms": round(found[name]["ms"], 3) if name in found else None for name in PHASES}


def first_packet_ms(found, arrivals):
    """From the end of the activation to the first reply that passed through the new place, by the probe."""
    if "activate" not in found:
        return None
    opened = found["activate"]["time_ns"]
    after = bisect.bisect_left(arrivals, opened)
    return round((arrivals[after] - opened) / MS, 3) if after < len(arrivals) else None


def begin_of(event):
    """Events are told at a phase's end."""
    return event["time_ns"] - int(event["ms"] * MS)


MOVEMENT_PHASES = ("prepare", "judge", "quiesce", "freeze", "finish", "commit", "resume")


def movement_begin(found):
    """The host-agent tells all phases of a movement together, at its end: its beginning is their sum before that."""
    told = [found[name] for name in MOVEMENT_PHASES if name in found]
    if not told:
        return None
    return min(event["time_ns"] for event in told) - int(sum(event["ms"] for event in told) * MS)


def windows(found, killed_ns, tail_ns=1_000_000_000):
    """(takeover, movement) as (start, end) in wall clock; None for what did not happen.

    The takeover lasts until the movement's first phase begins, the movement until a second after service resumed: no
    instant in between belongs to neither.
    """
    move_begin = movement_begin(found)
    takeover_end = move_begin
    if takeover_end is None and "activate" in found:
        takeover_end = found["activate"]["time_ns"] + tail_ns
    movement_end = found["resume"]["time_ns"] + tail_ns if "resume" in found else None
    takeover = (killed_ns, takeover_end) if takeover_end else None
    return takeover, (move_begin, movement_end) if move_begin and movement_end else None


def within(times, window):
    """How many of the times lie in the window."""
    return 0 if window is None else sum(window[0] <= time <= window[1] for time in times)
