# SPDX-License-Identifier: Apache-2.0
"""The commands of `./dev lab`."""
import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

from . import blades, config_files, daemons, guests, lab, pki, processes, state as states, switch
from .errors import LabError
from .interrupts import Interrupted, with_signals_raised
from .options import Parser, number, power_of_two
from .shell import in_network
from .state import State


def say(text):
    print(text, flush=True)


def progress():
    """Lines with the seconds since the start."""
    started = time.monotonic()
    return lambda text: say(f"{time.monotonic() - started:7.1f} s  {text}")


def up(options):
    chosen = {"bfd_interval_ms": options.bfd_interval_ms, "bfd_multiplier": options.bfd_multiplier,
              "bfd_auth": options.bfd_auth,
              "policy": options.policy, "region_mib": options.region_mib, "daemons": not options.without_daemons,
              "ready_s": options.ready_s, "power": not options.no_power, "memory": options.memory,
              "tls": not options.plain, "fencing": options.fencing,
              "leases": options.leases, "control_servers": options.control_servers,
              "control_on_standby": options.control_on_standby}
    if options.control_on_standby and options.control_servers < 2:
        raise LabError("--control-on-standby needs --control-servers 2 or 3", 2)
    with_signals_raised()
    lab.up(options.name, options.actives, chosen, progress())
    say(f"lab {options.name!r} is up and stays up; ./dev lab status, ./dev lab down")


def down(options):
    ended = lab.down(options.name)
    if not any(ended.values()):
        say(f"no lab {options.name!r} was up")
    else:
        say(f"lab {options.name!r} is down: {ended['namespaces']} namespaces, {ended['processes']} processes")


def status(options):
    state = State(options.name)
    content, chassis = state.read(), state.chassis
    told = {"name": options.name, "actives": chassis.actives, "phase": content["phase"],
            "policy": content["options"]["policy"],
            "cut_ports": switch.silent(chassis, "cut"),
            "blades": {blade: {"power": blades.power_status(state, blade),
                               "off_by": content["blades"].get(blade, {}).get("off_by"),
                               "frozen": content["blades"].get(blade, {}).get("frozen", False),
                               "standby": blade == chassis.standby} for blade in chassis.blades},
            "group": None}
    if content["options"]["daemons"]:
        try:
            told["group"] = daemons.status(state, lab.binaries())
        except (LabError, json.JSONDecodeError) as error:
            told["group_error"] = str(error)
    if options.json:
        say(json.dumps(told, indent=2))
    else:
        print_status(told)


def print_status(told):
    say(f"lab {told['name']!r}: {told['actives']} active, 1 standby, {told['phase']}, movement policy {told['policy']}")
    for blade, about in told["blades"].items():
        by = f" (by the {about['off_by']})" if about["off_by"] else ""
        notes = [about["power"] + by] + ["frozen"] * about["frozen"] + ["standby"] * about["standby"]
        say(f"  {blade:10} {', '.join(notes)}")
    if told["cut_ports"]:
        say(f"  cut: {', '.join(told['cut_ports'])}")
    for role in (told["group"] or {}).get("roles", []):
        place = role.get("place") or {}
        say(f"  {role['role']:10} {daemons.describe(role)}, place {place.get('blade')}/{place.get('kind')}, "
            f"term {role['term']}")
    if "group_error" in told:
        say("  the control-server does not answer: nothing fails over until it is back (./dev lab logs control)\n"
            f"  {told['group_error'].splitlines()[-1][-90:]}")


def kill(options):
    blades.power_off(State(options.name), options.blade)
    say(f"{options.blade} is off: its ports went silent first, then all its processes died")


def freeze(options):
    state = State(options.name)
    count = blades.signal_all(state, options.blade, signal.SIGSTOP)
    say(f"{options.blade}: {count} processes stopped. " + what_a_freeze_does(state, options.blade))


def what_a_freeze_does(state, blade):
    if blade == state.chassis.standby:
        return "The mirrors are processes too: they stop, and what they forward stops."
    connections = blades.conntrack_count(state, blade)
    text = (f"Forwarding goes on: it is the kernel's, {connections} connections are tracked there, and the gate stays "
            "as it is.")
    if not state.read()["options"]["daemons"]:
        return text
    powered = state.read()["options"].get("power", True)
    return text + ("\nThe group sees its silence, isolates it" +
                   (" and powers it off; in a lab with --no-power it stays frozen and can be thawed." if powered else
                    ": then forwarding is cut off. ./dev lab thaw lets it go on as the old active that it is."))


def thaw(options):
    say(f"{options.blade}: {blades.signal_all(State(options.name), options.blade, signal.SIGCONT)} processes go on")


def cut(options):
    chassis = State(options.name).chassis
    ports = [port.switch_port for port in chassis.blade_ports(options.blade) if port.network == options.network]
    switch.silence(chassis, "cut", ports)
    say(f"cut: {', '.join(ports)} (frames are dropped, carrier stays); ./dev lab heal mends")


def heal(options):
    say(f"mended: {', '.join(switch.heal(State(options.name).chassis)) or 'nothing was cut'}")


def reboot(options):
    state = State(options.name)
    if blades.power_status(state, options.blade) == "on":
        blades.power_off(state, options.blade)
    blades.power_on(state, options.blade, lab.binaries())
    say(f"{options.blade} is on again: new kernel state, empty /dev/shm, its host-agent started")


def agent(options):
    state = State(options.name)
    init = blades.running_init(state, options.blade)
    if options.what == "start":
        processes.send(init, signal.SIGHUP)
        return
    for pid in processes.descendants(init["pid"])[1:]:
        if process_name(pid) == "understudy-host-agent"[:15]:
            processes.kill(processes.identity(pid))
            say(f"killed the host-agent of {options.blade}; everything else of the blade goes on")
            return
    raise LabError(f"no host-agent runs on {options.blade}")


def process_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def execute(options):
    state = State(options.name)
    chassis = state.chassis
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise LabError("exec NODE -- COMMAND: the command is missing", 2)
    if options.node in chassis.mirrors:
        role = options.node.replace("mirror", "role")
        path = os.path.join(blades.run_directory(state, chassis.standby), f"mirror-{role}.shell.sock")
        line = command[0] if len(command) == 1 else shlex.join(command)
        return guests.shell(path, line, lambda part: (sys.stdout.buffer.write(part), sys.stdout.flush()))
    if options.node in chassis.blades:
        return subprocess.run(blades.inside(state, options.node, command), check=False).returncode
    if options.node in chassis.nodes:
        environment = os.environ | pki.environment(chassis, state.read()["options"]["tls"])
        return subprocess.run(in_network(chassis.namespace_path(options.node), command), check=False,
                              env=environment).returncode
    raise LabError(f"no node {options.node!r}: there are {', '.join(chassis.nodes + chassis.mirrors)}", 2)


def logs(options):
    state = State(options.name)
    state.read()  # a lab that is not up is told as everywhere
    lab.collect_consoles(state)
    found = sorted(entry for entry in os.listdir(state.logs) if options.node in (entry.removesuffix(".log"), ""))
    if options.node.startswith("mirror-"):
        role = options.node.replace("mirror", "role")
        names = (f"mirror-{role}.", f"mirror-{role}-")
        found = sorted(entry for entry in os.listdir(state.logs) if entry.startswith(names))
    if options.node.split("-")[0] == "control":
        own = options.node.replace("control", "control-server") + ".log"
        found = [entry for entry in (own,) if os.path.exists(state.path("logs", entry))]
    if not found:
        if options.node in state.chassis.nodes + state.chassis.mirrors:
            raise LabError(f"{options.node} has no log: nothing of the product runs there in this lab", 2)
        known = sorted(entry.removesuffix(".log") for entry in os.listdir(state.logs))
        raise LabError(f"no log of {options.node!r}; there are: {', '.join(known)}", 2)
    for entry in found:
        if len(found) > 1:
            say(f"==> {state.path('logs', entry)} <==")
        with open(state.path("logs", entry), "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()


def listing(_options):
    for name in states.names():
        say(name)


def parser():
    top = Parser(prog="./dev lab", description="A whole chassis on this machine: N active blades, a "
                                  "standby with N mirrors, clients, a server, a switch. It stays up until `down`.")
    commands = top.add_subparsers(dest="command_name", required=True, metavar="COMMAND")

    def command(name, function, text, blade=False):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument("--name", default="lab", help="which lab, when several are up (default: lab)")
        if blade:
            sub.add_argument("blade", help="e.g. blade-2")
        sub.set_defaults(function=function)
        return sub

    sub = command("up", up, "start a lab and wait until every role is protected")
    sub.add_argument("--actives", type=number(int, 1, 32), metavar="N", default=3, help="active blades (default: 3)")
    sub.add_argument("--bfd-interval-ms", type=number(int, 1, 10_000), metavar="MS",
                     default=lab.DEFAULTS["bfd_interval_ms"], help="default: %(default)s")
    sub.add_argument("--bfd-multiplier", type=number(int, 1, 255), metavar="N",
                     default=lab.DEFAULTS["bfd_multiplier"],
                     help="lost packets that mean silence (default: %(default)s)")
    sub.add_argument("--bfd-auth", choices=config_files.BFD_AUTHENTICATIONS, default=lab.DEFAULTS["bfd_auth"],
                     help="how BFD is authenticated (default: %(default)s)")
    sub.add_argument("--policy", choices=config_files.POLICIES, default=lab.DEFAULTS["policy"],
                     help="when a role moves to the host")
    sub.add_argument("--region-mib", type=power_of_two, metavar="MIB", default=lab.DEFAULTS["region_mib"],
                     help="size of a role's region, a power of two")
    sub.add_argument("--memory", choices=config_files.MEMORIES, default=lab.DEFAULTS["memory"],
                     help="what a region is to its mirror's guest (default: what QEMU has)")
    sub.add_argument("--ready-s", type=number(int, 1), metavar="S", default=lab.DEFAULTS["ready_s"],
                     help="how long to wait for protection")
    sub.add_argument("--fencing", choices=config_files.FENCINGS, default=lab.DEFAULTS["fencing"],
                     help="how the control-server powers blades off: by the lab's own power switch, or by "
                     "fence_ipmilan and a simulated BMC for each blade (default: %(default)s)")
    sub.add_argument("--no-power", action="store_true",
                     help="the control-server cannot power blades off: one that was taken over can be thawed or healed")
    sub.add_argument("--leases", action="store_true",
                     help="an active's gate closes by itself unless its mirror goes on granting")
    sub.add_argument("--control-servers", type=number(int, 1, 3), metavar="N", default=1,
                     help="several of them share an etcd, one leads (default: 1, with SQLite)")
    sub.add_argument("--control-on-standby", action="store_true", help="the last of them runs on the standby blade")
    sub.add_argument("--plain", action="store_true", help="plain text instead of TLS on all wires")
    sub.add_argument("--without-daemons", action="store_true",
                     help="only the chassis: blades run nothing of the product")
    sub = command("status", status, "what is up: blades, cut cables, roles")
    sub.add_argument("--json", action="store_true")
    command("down", down, "end a lab; leaves nothing behind, also after a crash of the lab itself")
    command("kill", kill, "power a blade off: silent first, then dead at once", blade=True)
    command("freeze", freeze, "stop all processes of a blade (its kernel goes on)", blade=True)
    command("thaw", thaw, "let the processes of a frozen blade go on", blade=True)
    sub = command("cut", cut, "drop all frames at a blade's ports of one network; carrier stays", blade=True)
    sub.add_argument("network", choices=["maintenance", "external", "intranet"])
    command("heal", heal, "mend all cuts")
    command("reboot", reboot, "power a blade off and on", blade=True)
    sub = command("agent", agent, "kill or start the host-agent of a blade, and nothing else there", blade=True)
    sub.add_argument("what", choices=["kill", "start"])
    sub = command("exec", execute, "run a command in a blade, client-i, server, switch, control or mirror-i")
    sub.add_argument("node")
    sub.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    sub = command("logs", logs, "print the log of a node")
    sub.add_argument("node", help="control, blade-i, mirror-i (its console), ...")
    command("list", listing, "names of the labs that are up")
    return top


def main(arguments):
    options = parser().parse_args(arguments)
    try:
        return options.function(options) or 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Interrupted as interrupted:
        print(f"lab: {interrupted}", file=sys.stderr)
        return interrupted.status
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
