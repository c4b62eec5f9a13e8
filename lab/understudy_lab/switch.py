# SPDX-License-Identifier: Apache-2.0
"""Silence at the switch's ports, for the lab's own faults. The product isolates in a table of its own; the lab never
touches that one. Frames are dropped on both sides of the bridge and carrier stays: the other end sees a silent cable.

Two sets: `powered_off` (a dead blade stays silent until it is rebooted), `cut` (until healed).
"""
import json

from .shell import in_network, run

TABLE = "understudy_lab"
ADDRESS = "192.168.1.249"
RULES = f"""
table bridge {TABLE} {{
  set powered_off {{ type ifname; }}
  set cut {{ type ifname; }}
  chain ingress {{ type filter hook prerouting priority -400; iifname @powered_off drop; iifname @cut drop; }}
  chain egress {{ type filter hook postrouting priority 400; oifname @powered_off drop; oifname @cut drop; }}
}}
"""


def nft(chassis, text):
    return run(in_network(chassis.namespace_path("switch"), ["nft", "-f", "-"]), text)


def install(chassis):
    nft(chassis, RULES)


def answer(chassis):
    """Like one that is managed: on the maintenance network, and nowhere else."""
    run(in_network(chassis.namespace_path("switch"), ["ip", "address", "add", f"{ADDRESS}/24", "dev", "mnt"]))


def silent(chassis, which):
    """Names of the ports in a set, read back from the kernel."""
    command = ["nft", "-j", "list", "set", "bridge", TABLE, which]
    listed = json.loads(run(in_network(chassis.namespace_path("switch"), command)))
    sets = [entry["set"] for entry in listed["nftables"] if "set" in entry]
    return sorted(sets[0].get("elem", []))


def _elements(ports):
    return "{ " + ", ".join(f'"{port}"' for port in ports) + " }"


def silence(chassis, which, ports):
    nft(chassis, f"add element bridge {TABLE} {which} {_elements(ports)}\n")


def restore(chassis, which, ports):
    present = [port for port in silent(chassis, which) if port in ports]
    if present:
        nft(chassis, f"delete element bridge {TABLE} {which} {_elements(present)}\n")


def heal(chassis):
    """Mend every cut; blades that are off stay silent. Returns what was cut."""
    mended = silent(chassis, "cut")
    nft(chassis, f"flush set bridge {TABLE} cut\n")
    return mended
