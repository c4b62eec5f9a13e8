#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program under what a systemd unit forbids, where no systemd is process 1: its system call filter and its
capability bounding set, read from the very file that is shipped.

    under_unit.py UNIT[,DROP-IN...] PROGRAM [ARGUMENT...]

Stricter than the unit in one point: a call that is not allowed kills, so that it cannot go unnoticed.
"""
import ctypes
import os
import subprocess
import sys

import seccomp

# systemd.exec(5): always allowed, whatever the list says
IMPLICIT = ["@default", "execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"]
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
CAPABILITIES = ("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
                "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
                "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
                "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
                "PERFMON BPF CHECKPOINT_RESTORE").split()


def settings(paths, name):
    """The values of a setting in the unit and its drop-ins, in their order."""
    found = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            found += [line.split("=", 1)[1].strip() for line in file if line.startswith(name + "=")]
    return found


def groups():
    """systemd's own lists: @name -> what it holds."""
    told = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True,
                          check=True).stdout
    known, current = {}, None
    for line in told.splitlines():
        word = line.strip()
        if line.startswith("@"):
            current = known.setdefault(word, [])
        elif word and not word.startswith("#") and line.startswith(" ") and current is not None:
            current.append(word)
    return known


def expand(words, known):
    names = set()
    for word in words:
        if not word.startswith("@"):
            names.add(word)
        elif word in known:
            names |= expand(known[word], known)
        else:
            raise SystemExit(f"under_unit: systemd knows no group {word}")
    return names


def listed(paths):
    """(whether the list says what is allowed, the names): systemd's rules for several assignments."""
    known, allows, names = groups(), None, set()
    for value in settings(paths, "SystemCallFilter"):
        denied = value.startswith("~")
        words = expand(value.lstrip("~").split(), known)
        if allows is None:
            allows = not denied
        names = names - words if denied == allows else names | words
    return allows, names | expand(IMPLICIT, known) if allows else names


def restrict(paths):
    kept = {word.removeprefix("CAP_") for value in settings(paths, "CapabilityBoundingSet") for word in value.split()}
    libc = ctypes.CDLL(None, use_errno=True)
    for number, name in enumerate(CAPABILITIES):
        if name not in kept and libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            if libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
                raise SystemExit(f"under_unit: CAP_{name} stays: {os.strerror(ctypes.get_errno())}")
    allows, names = listed(paths)
    call_filter = seccomp.SyscallFilter(seccomp.KILL_PROCESS if allows else seccomp.ALLOW)
    for name in sorted(names):
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0:
            call_filter.add_rule(seccomp.ALLOW if allows else seccomp.KILL_PROCESS, name)
    call_filter.load()  # and no_new_privs with it


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    restrict(sys.argv[1].split(","))
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
