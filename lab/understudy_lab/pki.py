# SPDX-License-Identifier: Apache-2.0
"""The certificates of a lab's chassis, made by `understudy pki` as an operator makes them: for the control-server, each
blade, each mirror that any blade may run, one operator and one viewer."""
import os

from .shell import run
from .state import State


def folder(chassis):
    """Where the chassis's CA and all that it issued lie."""
    return State(chassis.name).path("pki")


def control_name(number):
    return "control" if number == 1 else f"control-{number}"


def make(chassis, binaries):
    understudy, directory = os.path.join(binaries, "understudy"), folder(chassis)

    def command(*words):
        run([understudy, "pki", *words, "--directory", directory])

    command("init", "--chassis", chassis.name)
    command("issue", "control-server", *(control_name(number) for number in chassis.control_numbers))
    command("issue", "blade", *chassis.blades)
    command("issue", "operator", "operator")
    command("issue", "viewer", "viewer")
    for blade in chassis.blades:
        command("issue", "mirror", blade, *(f"role-{i}" for i in chassis.numbers))


def environment(chassis, tls, who="operator/operator"):
    """Variables by which `understudy` finds its credentials."""
    if not tls:
        return {"UNDERSTUDY_PLAIN_TEXT": "true"}
    own = os.path.join(folder(chassis), who)
    return {"UNDERSTUDY_CA": os.path.join(folder(chassis), "ca.crt"), "UNDERSTUDY_CERTIFICATE": own + ".crt",
            "UNDERSTUDY_KEY": own + ".key"}
