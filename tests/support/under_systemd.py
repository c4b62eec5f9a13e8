#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program as the unit that is shipped runs it: a systemd of its own is process 1 of PID, mount, UTS and control
group namespaces, reads the very unit and its drop-ins, and starts, feeds and restarts its service. Network and files
are those of the caller; the namespaces end with this process.

    under_systemd.py UNIT[,DROP-IN...] PROGRAM [ARGUMENT...]

    this process ─► unshare ─► systemd (process 1) ─► the service
        └ its standard output is the log of all

Needs root and control groups of version 2 (without controllers, too). show() tells what systemctl does.
"""
import os
import subprocess
import sys
import tempfile

SYSTEMD = "/lib/systemd/systemd"
UNIT_FOLDER = "/run/systemd/system"
STATE_FOLDER = "/var/lib/understudy"
GROUP_PREFIX = "understudy-unit-"
TARGET = "under-systemd.target"
# What the machine's own units would bring along is not wanted here, and who is started by a test is told where it is.
OURS = """[Unit]
DefaultDependencies=no
[Service]
ExecStart=
ExecStart={command}
StandardOutput=append:{log}
StandardError=append:{log}
Environment={environment}
"""


def group_root():
    """Where control groups of version 2 are."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, where, kind = line.split()[:3]
            if kind == "cgroup2":
                return where
    raise SystemExit("under_systemd: there is no control group hierarchy of version 2 (mount -t cgroup2)")


def is_possible():
    try:
        return os.access(os.path.join(group_root(), "cgroup.procs"), os.W_OK) and os.access(SYSTEMD, os.X_OK)
    except SystemExit:
        return False


def quoted(words):
    """For a unit: % and quotes mean nothing else than themselves."""
    return " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"' for word in words)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def outer(arguments):
    group = tempfile.mkdtemp(prefix=GROUP_PREFIX, dir=group_root())  # process ids are not one's own in a blade
    write(os.path.join(group, "cgroup.procs"), str(os.getpid()))
    os.execvp("unshare", ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--cgroup",
                          "--propagation", "private", "--mount-proc", sys.executable, "-B",
                          os.path.realpath(__file__), "--inside", *arguments])


def inside(units, program, log):
    """The machine's /run and /dev stay; what systemd writes for itself is its own."""
    def mount(*words):
        subprocess.run(["mount", *words], check=True)
    mount("--rbind", "/run", "/run")  # a mount of its own, or systemd would lay an empty one over it
    os.makedirs("/run/systemd", exist_ok=True)
    mount("-t", "tmpfs", "run", "/run/systemd")
    mount("-t", "cgroup2", "groups", "/sys/fs/cgroup")
    os.makedirs(STATE_FOLDER, exist_ok=True)  # of StateDirectory=: one that is installed here stays untouched
    mount("-t", "tmpfs", "state", STATE_FOLDER)
    for limits in ("/proc/sys/fs", "/proc/sys/net/unix"):  # the machine's own, which it would raise: files, queues
        mount("--bind", limits, limits)
        mount("-o", "remount,bind,ro", limits)
    name = os.path.basename(units[0])
    with open(units[0], encoding="utf-8") as file:
        write(os.path.join(UNIT_FOLDER, name), file.read())
    for number, path in enumerate(units[1:]):
        with open(path, encoding="utf-8") as file:
            write(os.path.join(UNIT_FOLDER, name + ".d", f"{number:02}-{os.path.basename(path)}"), file.read())
    environment = [f"{key}={value}" for key, value in os.environ.items() if key.startswith("UNDERSTUDY_")]
    write(os.path.join(UNIT_FOLDER, name + ".d", "99-here.conf"),
          OURS.format(command=quoted(program).replace("$", "$$"), log=log, environment=quoted(environment)))
    write(os.path.join(UNIT_FOLDER, TARGET), f"[Unit]\nWants={name}\nDefaultDependencies=no\n")
    os.makedirs("/run/systemd/none")
    os.execve(SYSTEMD, [SYSTEMD, "--system", f"--unit={TARGET}", "--log-target=console", "--show-status=no"],
              {"container": "understudy", "PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": UNIT_FOLDER,
               "SYSTEMD_GENERATOR_PATH": "/run/systemd/none"})


def show(process_one, unit, *properties):
    """Name -> value, as its systemd tells; `process_one`: that systemd, as this process sees it."""
    command = ["nsenter", f"--target={process_one}", "--mount", "--pid", "--cgroup", "--", "systemctl", "show", unit]
    told = subprocess.run([*command, "--property=" + ",".join(properties)], capture_output=True, text=True,
                          check=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def remove_groups():
    """Of those that have ended."""
    for name in os.listdir(group_root()):
        if not name.startswith(GROUP_PREFIX):
            continue
        for folder, _, _ in os.walk(os.path.join(group_root(), name), topdown=False):
            try:
                os.rmdir(folder)
            except OSError:  # somebody lives there
                pass


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--inside"]:
        inside(arguments[2].split(","), arguments[3:], arguments[1])
    if len(arguments) < 2:
        raise SystemExit(__doc__)
    outer([os.readlink("/proc/self/fd/1"), *arguments])


if __name__ == "__main__":
    main()
