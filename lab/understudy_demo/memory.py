# SPDX-License-Identifier: Apache-2.0
"""Which file a process has mapped, by the kernel's word: device and inode from /proc/PID/maps."""
from understudy_lab import blades, processes


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def mapped(pid, ending):
    """{(device, inode)} of the mappings whose path ends so."""
    found = set()
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                words = line.split(maxsplit=5)
                if len(words) == 6 and words[5].rstrip("\n").removesuffix(" (deleted)").endswith(ending):
                    found.add((words[3], words[4]))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def tree_of_standby(state):
    known = blades.init_of(state, state.chassis.standby)
    return processes.descendants(known["pid"])[1:] if known else []


def guests(state):
    """Process ids of QEMU on the standby, counted by looking at its processes."""
    return [pid for pid in tree_of_standby(state) if name_of(pid).startswith("qemu-system")]


def region_of_guest(state, role):
    """The inode that the mirror's QEMU has mapped, None when there is none."""
    found = set().union(*(mapped(pid, f"/understudy-{role}") for pid in guests(state)))
    return found.pop() if len(found) == 1 else None


def region_of_application(state, role, program="session-service"):
    """The inode that the role's application on the standby's host has mapped."""
    found = set().union(*(mapped(pid, f"/understudy-{role}") for pid in tree_of_standby(state)
                          if name_of(pid) == program[:15]))
    return found.pop() if len(found) == 1 else None
