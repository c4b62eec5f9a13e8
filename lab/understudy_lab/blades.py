# SPDX-License-Identifier: Apache-2.0
"""Blades as process trees under lab-init.

Power-off is two steps in this order: silence the blade's switch ports, then kill its process 1 (the kernel kills the
rest). The other order would let dying processes send FIN or RST and make a failover look better than it is.
"""
import os
import signal
import subprocess

from . import namespaces, processes, switch
from .errors import LabError
from .shell import run

# BFD and the serving guest before idle mirrors: the daemons are above the traffic of the machine, guests below them
# (the host-agent weighs its guests itself).
BLADE_NICE = -5


def init_of(state, blade):
    """Identity of the blade's process 1, None when the blade is off."""
    known = state.read()["blades"].get(blade, {}).get("init")
    return known if processes.is_alive(known) else None


def running_init(state, blade):
    state.chassis.blade_number(blade)
    if known := init_of(state, blade):
        return known
    by = state.read()["blades"].get(blade, {}).get("off_by")
    raise LabError(f"{blade} is powered off{f' (by the {by})' if by else ''}; ./dev lab reboot {blade} starts it")


def command_of(state, blade, binaries):
    """What process 1 of the blade starts; nothing in a chassis without daemons."""
    if not state.read()["options"]["daemons"]:
        return []
    return [os.path.join(binaries, "understudy-host-agent"), "--config", state.path(blade, "blade.toml")]


def programs_of(state, binaries):
    """Applications of roles, which a blade has in config_files.APPLICATIONS."""
    options = state.read()["options"]
    return ["--program", os.path.join(binaries, options["program"])] if options["daemons"] else []


def start(state, blade, binaries):
    chassis = state.chassis
    os.makedirs("/run/understudy", exist_ok=True)  # the mount point; the blade's own is a tmpfs
    command = [os.path.join(binaries, "lab-init"), "--netns", chassis.namespace_path(blade), "--hostname", blade,
               "--log", state.log(blade), "--nice", str(BLADE_NICE), *programs_of(state, binaries), "--",
               *command_of(state, blade, binaries)]
    environment = os.environ | {"UNDERSTUDY_LAB": state.name}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not built; ./dev build", 2) from None
    if done.returncode != 0:
        raise LabError(f"{blade} does not start: {done.stderr.strip()}")
    known = processes.identity(int(done.stdout))
    processes.prefer(known["pid"], BLADE_NICE)
    with state.change() as content:
        content["blades"][blade] = {"power": "on", "frozen": False, "init": known}


def power_off(state, *together, by=None):
    """All of them go silent in one instant. `by`: who did it, when it was not the person at the lab."""
    ports = [port.switch_port for blade in together for port in state.chassis.blade_ports(blade)]
    switch.silence(state.chassis, "powered_off", ports)
    for blade in together:
        for name, process in state.read()["processes"].items():  # a control-server that runs on it
            if name.startswith(f"{blade}/"):
                processes.kill(process)
        known = state.read()["blades"].get(blade, {}).get("init")
        if known and not processes.kill(known):
            raise LabError(f"process 1 of {blade} ({known['pid']}) does not die")
        with state.change() as content:
            content["blades"][blade] = {"power": "off", "frozen": False, "init": None, "off_by": by}


def power_on(state, blade, binaries):
    """A cold start: a kernel without routes, rules and connections, empty /dev/shm, then the host-agent."""
    chassis = state.chassis
    if init_of(state, blade):
        return
    namespaces.recreate_blade(chassis, blade)
    start(state, blade, binaries)
    switch.restore(chassis, "powered_off", [port.switch_port for port in chassis.blade_ports(blade)])


def power_status(state, blade):
    state.chassis.blade_number(blade)
    return "on" if init_of(state, blade) else "off"


def signal_all(state, blade, number):
    """Signal the whole tree of a blade; repeated until no process is new, since a tree may grow meanwhile."""
    init = running_init(state, blade)["pid"]
    reached = set()
    for _ in range(20):
        new = [pid for pid in processes.descendants(init) if pid not in reached]
        if not new:
            break
        for pid in new:
            processes.send(processes.identity(pid), number)
        reached.update(new)
    with state.change() as content:
        content["blades"][blade]["frozen"] = number == signal.SIGSTOP
    return len(reached)


def inside(state, blade, command):
    """`command` in all namespaces of the blade."""
    pid = running_init(state, blade)["pid"]
    return ["nsenter", f"--target={pid}", "--net", "--pid", "--mount", "--uts", f"--wdns={os.getcwd()}", "--", *command]


def run_directory(state, blade):
    """The blade's /run/understudy as the lab sees it."""
    return f"/proc/{running_init(state, blade)['pid']}/root/run/understudy"


def conntrack_count(state, blade):
    """Kernel connections of the blade: shows that forwarding is the kernel's business, not a process's."""
    return int(run(inside(state, blade, ["sysctl", "-n", "net.netfilter.nf_conntrack_count"])))
