# SPDX-License-Identifier: Apache-2.0
"""Processes by identity. An id alone may have been reused, so it is always kept with its start time; and whatever lives
in a network namespace of the lab belongs to the lab, which finds processes that a crashed lab had no time to note.
"""
import os
import signal
import time


def start_time(pid):
    """Start time in clock ticks since boot, None when there is no such process or it is dead already."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def identity(pid):
    return {"pid": pid, "start_time": start_time(pid)}


def is_alive(known):
    return known is not None and known["start_time"] is not None and start_time(known["pid"]) == known["start_time"]


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(root):
    """Process ids of `root`'s tree, root first. All of a PID namespace descend from its process 1."""
    children = {}
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(pid)
    tree = [root]
    for pid in tree:  # grows while it is walked
        tree += children.get(pid, [])
    return tree


def in_namespaces(paths):
    """Ids of all processes whose network namespace is one of `paths`."""
    inodes = set()
    for path in paths:
        try:
            inodes.add(os.stat(path).st_ino)
        except FileNotFoundError:
            pass
    found = []
    for pid in all_pids():
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino in inodes:
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return found


def send(known, number):
    """Signal the process only if it is still the same one; the descriptor closes the race between check and signal."""
    try:
        descriptor = os.pidfd_open(known["pid"])
    except ProcessLookupError:
        return False
    try:
        if not is_alive(known):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def wait_dead(known, seconds):
    """True when the process is dead; a zombie counts as dead."""
    deadline = time.monotonic() + seconds
    while is_alive(known):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def end_all(processes, seconds=3.0):
    """Ask all, wait for all, then kill who is left."""
    for known in processes:
        send(known, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for known in processes:
        if not wait_dead(known, max(deadline - time.monotonic(), 0)):
            kill(known)


def kill(known, seconds=10.0):
    if send(known, signal.SIGKILL):
        return wait_dead(known, seconds)
    return True


def prefer(pid, nice):
    """Under autogroup scheduling nice levels only compare within a session; this is the session's own."""
    try:
        with open(f"/proc/{pid}/autogroup", "w", encoding="utf-8") as group:
            group.write(str(nice))
    except OSError:
        pass  # a kernel without autogroups compares nice levels directly
