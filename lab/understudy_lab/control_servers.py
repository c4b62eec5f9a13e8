# SPDX-License-Identifier: Apache-2.0
"""Several control-servers and the etcd that they share: one member of it beside each of them.

    control ─ control-server, etcd member 1      control-2 ─ control-server-2, member 2      control-3 or standby ─ ...

What runs on a blade dies with its power (blades.power_off), found by its name, BLADE/....
"""
import os

from . import daemons, processes
from .errors import LabError

ETCD = "etcd"
CLIENT_PORT, PEER_PORT = 2379, 2380


def name_of(chassis, number, what):
    """Of the process, as the state knows it."""
    name = what if number == 1 else f"{what}-{number}"
    node = chassis.control_node(number)
    return f"{node}/{name}" if node in chassis.blades else name


def group_file(state, number):
    return state.path("group.toml" if number == 1 else f"group-{number}.toml")


def log_name(number):
    return "control-server" if number == 1 else f"control-server-{number}"


def endpoints(chassis):
    return [f"http://{chassis.control_address(number)}:{CLIENT_PORT}" for number in chassis.control_numbers]


def start_etcd(state, number):
    chassis = state.chassis
    own = chassis.control_address(number)
    members = ",".join(f"m{each}=http://{chassis.control_address(each)}:{PEER_PORT}"
                       for each in chassis.control_numbers)
    command = [ETCD, "--name", f"m{number}", "--data-dir", state.path(f"etcd-{number}"), "--log-level", "error",
               "--listen-client-urls", f"http://{own}:{CLIENT_PORT}",
               "--advertise-client-urls", f"http://{own}:{CLIENT_PORT}",
               "--listen-peer-urls", f"http://{own}:{PEER_PORT}",
               "--initial-advertise-peer-urls", f"http://{own}:{PEER_PORT}",
               "--initial-cluster", members, "--auto-compaction-retention", "1h"]
    daemons.spawn(state, name_of(chassis, number, ETCD), command, chassis.control_node(number),
                  log=state.log(f"etcd-{number}"), nice=daemons.CONTROL_NICE)


def start(state, number, binaries):
    command = [os.path.join(binaries, "understudy-control-server"), "--config", group_file(state, number)]
    return daemons.spawn(state, name_of(state.chassis, number, "control-server"), command,
                         state.chassis.control_node(number), log=state.log(log_name(number)),
                         nice=daemons.CONTROL_NICE)


def start_all(state, binaries):
    if state.chassis.controls > 1:
        for number in state.chassis.control_numbers:
            start_etcd(state, number)
    for number in state.chassis.control_numbers:
        start(state, number, binaries)


def process(state, number, what="control-server"):
    return state.read()["processes"].get(name_of(state.chassis, number, what))


def kill(state, number, what="control-server"):
    """SIGKILL, and it is gone when this returns."""
    known = process(state, number, what)
    if not processes.is_alive(known) or not processes.kill(known):
        raise LabError(f"{name_of(state.chassis, number, what)} does not run, or does not die")


def leader(state, status):
    """Number of the one that leads by this status (of `understudy status --json`), None when nobody does."""
    for number, server in zip(state.chassis.control_numbers, status.get("control_servers", [])):
        if server["state"] == "leads":
            return number
    return None
