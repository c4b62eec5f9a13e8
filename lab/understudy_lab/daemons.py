# SPDX-License-Identifier: Apache-2.0
"""The control-server and what it tells."""
import json
import os
import subprocess
import time

from . import blades, pki, processes
from .errors import LabError
from .interrupts import held
from .shell import in_network, run

CONTROL_NICE = -5
LOST_FOR_GOOD_S = 10  # a moment of silence on a busy machine heals by itself


def spawn(state, what, command, node, log=None, nice=0):
    """A process of the lab inside a node's network, written down at once, in a session of its own."""
    chassis = state.chassis
    with open(log or state.log(what), "ab") as output, held():
        process = subprocess.Popen(
            in_network(chassis.namespace_path(node), ["nice", "-n", str(nice), *command]), stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True, env=os.environ | {"UNDERSTUDY_LAB": state.name})
        state.remember(what, processes.identity(process.pid))
    processes.prefer(process.pid, nice)
    return process


def check_configuration(state, binaries, file):
    told = subprocess.run([os.path.join(binaries, "understudy-control-server"), "--check", "--config", file],
                          capture_output=True, text=True, check=False)
    if told.returncode != 0:
        raise LabError(f"the group's configuration is refused: {told.stderr.strip()}", 2)


def operator_command(state, binaries, *arguments):
    """`understudy ARGUMENTS` in the network of the (first) control-server, and its environment."""
    addresses = ",".join(state.chassis.control_endpoints)
    command = in_network(state.chassis.namespace_path("control"),
                         [os.path.join(binaries, "understudy"), "--control", addresses, *arguments])
    return command, os.environ | pki.environment(state.chassis, state.read()["options"]["tls"])


def operator(state, binaries, *arguments, timeout=10):
    """Output of `understudy ARGUMENTS`; a status also while nobody decides (3) and while a role is in danger (4)."""
    command, environment = operator_command(state, binaries, *arguments)
    accepted = (0, 3, 4) if arguments[0] == "status" else (0,)
    return run(command, timeout=timeout, env=environment, accepted=accepted)


def status(state, binaries):
    """Of nobody who decides the roles are "unknown"."""
    return json.loads(operator(state, binaries, "status", "--json"))


def events(state, binaries):
    """All events so far, oldest first."""
    lines = operator(state, binaries, "events", "--json", "--last", "0").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def tail(path, lines=12):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(f"    {line}" for line in file.readlines()[-lines:]).rstrip()
    except FileNotFoundError:
        return "    (no log)"


def check_alive(state):
    """A daemon that died while the group comes up: say which and why, at once."""
    content = state.read()
    for name, known in content["processes"].items():
        what = name.rsplit("/", 1)[-1]
        if what.split("-")[0] in ("control", "etcd") and not processes.is_alive(known):
            raise LabError(f"the {what} ended; its log says:\n{tail(state.log(what if what != 'etcd' else 'etcd-1'))}")
    for blade in state.chassis.blades:
        init = blades.running_init(state, blade)["pid"]
        if len(processes.descendants(init)) == 1:
            raise LabError(f"the host-agent of {blade} ended; its log says:\n"
                           f"{tail(state.log(blade))}")


def wait_protected(state, binaries, say, seconds):
    """Until every role has a synced mirror."""
    deadline = time.monotonic() + seconds
    shown, last = {}, "the control-server does not answer"
    served_at = time.monotonic()
    while time.monotonic() < deadline:
        check_alive(state)
        try:
            roles = status(state, binaries)["roles"]
        except (LabError, json.JSONDecodeError, KeyError) as error:
            last = f"the control-server does not answer: {error}"
            time.sleep(0.3)
            continue
        now = {role["role"]: describe(role) for role in roles}
        for role, text in now.items():
            if shown.get(role) != text:
                say(f"{role}: {text}")
        shown, last = now, ", ".join(f"{role} {text}" for role, text in now.items())
        if roles and all(role["protected"] for role in roles):
            return
        lost = [role["role"] for role in roles if role["state"] == "lost" and role.get("detail")]
        if not lost:
            served_at = time.monotonic()
        elif time.monotonic() - served_at > LOST_FOR_GOOD_S:
            raise LabError(f"{', '.join(lost)} cannot be served: {last}")
        time.sleep(0.3)
    raise LabError(f"not every role is protected after {seconds:.0f} s: {last}\n"
                   f"the log of {state.chassis.standby} says:\n{tail(state.log(state.chassis.standby))}")


def describe(role):
    text = f"{role['state']}, mirror {role.get('mirror_phase', 'none')}"
    return text + (f" ({role['detail']})" if role.get("detail") else "")
