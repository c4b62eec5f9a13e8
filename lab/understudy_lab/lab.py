# SPDX-License-Identifier: Apache-2.0
"""Up and down, in order. Down needs nothing from up but the name: whatever a crash left is found by what was written
down, by process and by namespace.
"""
import os
import shutil
import tempfile

from . import blades, bmcs, config_files, control_servers, daemons, guests, namespaces, pki, processes, switch
from .errors import LabError
from .interrupts import held
from .shell import run
from .state import State, chassis_of

SOURCE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
DEFAULTS = {"bfd_interval_ms": 50, "bfd_multiplier": 3, "bfd_auth": "meticulous-sha1", "policy": "when-slow",
            "region_mib": 32, "mirror_memory_mib": 192, "daemons": True, "ready_s": 180, "drill": None, "power": True,
            "health": None,  # a command on each active
            "priorities": {},  # of roles, by their names
            "witness": False,  # the switch itself answers, as what is no blade
            "leases": False, "control_servers": 1, "control_on_standby": False,
            "qemu": "qemu-system-x86_64", "boot_deadline_s": 90, "wait": True, "memory": "auto", "tls": True,
            # An external switch command would take the bridges' place; ipmitool tries a BMC that refuses it for 8 s.
            "fencing": "command", "power_deadline_ms": 12_000, "switch_command": None, "power_command": None,
            "program": "session-service", "program_arguments": []}  # the roles' application, as it describes its store
DRILL = [os.path.join(SOURCE, "drill")]  # option "drill" of a lab whose movements can be disturbed


def build_directory():
    """UNDERSTUDY_BUILD, else the one of this tree."""
    build = os.environ.get("UNDERSTUDY_BUILD") or os.path.join(os.path.dirname(SOURCE), "build", "dev")
    if not os.path.isdir(build):
        raise LabError(f"there is no build directory {build}: run ./dev build, or name one in UNDERSTUDY_BUILD", 2)
    return os.path.abspath(build)


def binaries():
    return os.path.join(build_directory(), "bin")


def check_machine(options):
    if os.geteuid() != 0:
        raise LabError("network namespaces need root: run it with sudo, or through ./dev, which asks for it", 2)
    needed = ["ip", "nft", "nsenter", "sysctl"] + (["qemu-system-x86_64"] if options["daemons"] else [])
    needed += list(bmcs.PROGRAMS) if options["fencing"] == "ipmi" else []
    needed += [control_servers.ETCD] if options["control_servers"] > 1 else []
    for program in needed:
        if not shutil.which(program):
            raise LabError(f"{program} is not installed; ./dev setup installs what is missing", 2)
    wanted = ["lab-init"]
    if options["daemons"]:
        wanted += ["understudy-control-server", "understudy-host-agent", "understudy-guest-agent", "understudy",
                   options["program"]]
    for program in wanted:
        if not os.access(os.path.join(binaries(), program), os.X_OK):
            raise LabError(f"{os.path.join(binaries(), program)} is missing; ./dev build", 2)


def up(name, actives, options, say):
    """A chassis, running. A failure takes down what was made and keeps the logs."""
    state, options = State(name), DEFAULTS | options
    chassis = chassis_of(name, actives, options)
    check_machine(options)
    if state.exists:
        state.create(chassis, options)  # refuses, saying how to go on
    if taken := namespaces.existing(chassis):
        raise LabError(f"network namespace {chassis.namespace(taken[0])} exists already and is not of a lab that is "
                       f"known here: ./dev lab down --name {name}, or choose another --name", 2)
    if options["daemons"]:
        guests.prepare(build_directory(), say)
        options["application"] = run([os.path.join(binaries(), options["program"]), *config_files.DESCRIBE_COMMAND,
                                      *options["program_arguments"]])
    made = False
    try:
        with held():
            state.create(chassis, options)
            made = True
        if options["fencing"] == "ipmi":
            bmcs.write_all(state)
        if options["daemons"]:
            prepare_configuration(chassis, state, options)
        bring_up(chassis, state, options, say)
    except BaseException as error:
        if not made:
            raise
        kept = take_down_failed(state, error, say)
        if isinstance(error, LabError) and kept:
            raise LabError(f"{error}\nlogs are kept in {kept}", error.status) from None
        raise
    return state


def take_down_failed(state, error, say):
    """Where the logs are kept, None when nothing was started. Whatever cannot be told or kept, down it goes."""
    try:
        if isinstance(error, LabError) and error.status == 2:
            return None
        kept = keep_logs(state)
        say(f"taking down what was made; logs are kept in {kept}")
        return kept
    except OSError as broken:  # no room for the logs, nobody to tell
        error.add_note(f"its logs are lost: {broken}")
        return None
    finally:
        down(state.name)


def prepare_configuration(chassis, state, options):
    """What the control-server would refuse is told before anything is started."""
    power_command = options["power_command"] or [os.path.join(SOURCE, "power"), "--name", chassis.name]
    if options["tls"]:
        pki.make(chassis, binaries())
    config_files.write_all(chassis, state, options, power_command, guests.directory(build_directory()))
    for number in chassis.control_numbers:
        daemons.check_configuration(state, binaries(), control_servers.group_file(state, number))


def bring_up(chassis, state, options, say):
    say(f"chassis {chassis.name!r}: {chassis.actives} active, 1 standby")
    namespaces.create_all(chassis)
    switch.install(chassis)
    if options["witness"]:
        switch.answer(chassis)
    if options["fencing"] == "ipmi":
        say("a BMC for each blade")
        bmcs.start_all(state)
    if options["daemons"]:
        say("control-server" if chassis.controls == 1 else f"{chassis.controls} control-servers, etcd")
        control_servers.start_all(state, binaries())
    for blade in chassis.blades:
        blades.start(state, blade, binaries())
    say(f"blades: {', '.join(chassis.blades)}")
    if options["daemons"] and options["wait"]:
        daemons.wait_protected(state, binaries(), say, options["ready_s"])
    with state.change() as content:
        content["phase"] = "up"


def keep_logs(state):
    """A copy of the lab's logs, and of what the mirrors said on their consoles."""
    kept = tempfile.mkdtemp(prefix=f"understudy-{state.name}-")
    collect_consoles(state)
    for entry in os.listdir(state.directory):
        source = state.path(entry)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(kept, entry), dirs_exist_ok=True)
        elif os.path.isfile(source):
            shutil.copy2(source, kept)
    return kept


def collect_consoles(state):
    """Console logs lie in the standby's private /run/understudy and would go with it."""
    try:
        run_directory = blades.run_directory(state, state.chassis.standby)
        for entry in os.listdir(run_directory):
            if entry.endswith(".log"):
                shutil.copy2(os.path.join(run_directory, entry), state.logs)
    except (LabError, OSError):
        pass  # the standby is off, or never was on


def down(name):
    """Everything of the lab, dead or alive. Returns what was ended, for a person."""
    with held():
        return _down(name)


def _down(name):
    state = State(name)
    content = {"namespaces": [], "blades": {}, "processes": {}}
    if state.exists:
        try:
            content = state.read()
        except (LabError, ValueError):
            pass  # died before its first line was written
    known = set(content["namespaces"]) | {entry for entry in namespace_names() if belongs(entry, name)}
    inits = [blade["init"] for blade in content["blades"].values() if blade.get("init")]
    for process in inits:
        processes.kill(process)
    processes.end_all(list(content["processes"].values()))
    left = end_all_inside([f"/run/netns/{entry}" for entry in known])
    namespaces.delete(sorted(known))
    state.remove()
    return {"namespaces": len(known), "processes": len(inits) + len(content["processes"]) + left}


def namespace_names():
    return os.listdir("/run/netns") if os.path.isdir("/run/netns") else []


def belongs(namespace, name):
    """us-NAME-NODE; names may hold dashes, so the node decides: lab `a` does not own lab `a-b`'s namespaces."""
    prefix = f"us-{name}-"
    if not namespace.startswith(prefix):
        return False
    node = namespace[len(prefix):]
    kind, _, number = node.partition("-")
    return node in ("switch", "control", "server") or (kind in ("client", "blade", "control") and number.isdigit())


def end_all_inside(paths):
    """Kill what lives in the namespaces, until nothing does: what a crashed lab had no time to write down."""
    ended = set()
    for _ in range(50):
        pids = [pid for pid in processes.in_namespaces(paths) if pid != os.getpid()]
        if not pids:
            break
        for pid in pids:
            processes.kill(processes.identity(pid), seconds=2.0)
        ended.update(pids)
    return len(ended)
