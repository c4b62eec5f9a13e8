# SPDX-License-Identifier: Apache-2.0
"""A simulated BMC for each blade: ipmi_sim (package openipmi) speaks IPMI over LAN, lab/bmc does what it is told.

    control-server ── fence_ipmilan ── ipmitool ══ UDP 623 ══ ipmi_sim ── lab/bmc ── the blade's power

All of them run where the control-server is, on loopback addresses of that network namespace, and live on when their
blade is off, as a BMC does.
"""
import os
import secrets
import shlex
import subprocess
import time

from . import daemons
from .errors import LabError
from .shell import in_network

READY_S = 20.0
PROGRAMS = ("ipmi_sim", "ipmitool", "fence_ipmilan")  # Debian's openipmi, ipmitool, fence-agents
USER = "understudy"
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "bmc")
# A management controller and nothing else: no sensors, no inventory.
COMMANDS = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""


def address(chassis, blade):
    return f"127.0.0.{100 + chassis.blade_number(blade)}"


def password_file(state, blade):
    return state.path("bmc", blade, "password")


def write_private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def write_all(state):
    chassis = state.chassis
    for blade in chassis.blades:
        os.makedirs(state.path("bmc", blade, "state"), mode=0o700)
        password = secrets.token_urlsafe(12)  # 16 characters, as many as IPMI over LAN has
        write_private(password_file(state, blade), password + "\n")
        levels = "".join(f"  allowed_auths_{level} md5\n" for level in ("callback", "user", "operator", "admin"))
        command = shlex.join([SCRIPT, state.name, blade])
        write_private(state.path("bmc", blade, "lan.conf"), f"""name "{blade}"
startlan 1
  addr {address(chassis, blade)} 623
  priv_limit admin
{levels}endlan
chassis_control "{command}"
user 2 true "{USER}" "{password}" admin 10
""")
        write_private(state.path("bmc", blade, "commands"), COMMANDS)


def name(blade):
    """What the lab writes its process down as."""
    return f"bmc-{blade}"


def start_all(state):
    """All of them, answering."""
    started = {blade: start(state, blade) for blade in state.chassis.blades}
    for blade, process in started.items():
        deadline = time.monotonic() + READY_S
        while not answers(state, blade):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"the BMC of {blade} does not answer; it said:\n{daemons.tail(state.log(name(blade)))}")
            time.sleep(0.05)


def start(state, blade):
    def path(entry):
        return state.path("bmc", blade, entry)
    return daemons.spawn(state, name(blade), ["ipmi_sim", "-n", "-c", path("lan.conf"), "-f", path("commands"), "-s",
                                             path("state")], "control")


def answers(state, blade):
    """Whether somebody with ipmitool can ask it."""
    where = ["-I", "lan", "-H", address(state.chassis, blade), "-U", USER, "-f", password_file(state, blade)]
    command = ["ipmitool", *where, "-R", "1", "-N", "1", "chassis", "power", "status"]
    done = subprocess.run(in_network(state.chassis.namespace_path("control"), command), capture_output=True, text=True,
                          check=False)
    return "Chassis Power is" in done.stdout
