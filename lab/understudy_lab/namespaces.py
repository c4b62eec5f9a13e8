# SPDX-License-Identifier: Apache-2.0
"""The chassis's networks: namespaces, bridges, cables, addresses. Everything is batched: a process per line would make
a chassis of five blades slow.
"""
import json
import os

from .errors import LabError
from .shell import in_network, run

# Set in every namespace before its first interface appears. Bridged frames must not meet the IP rule sets.
SYSCTLS = {
    "net.ipv6.conf.all.accept_dad": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.all.accept_ra": "0",
    "net.ipv6.conf.default.accept_ra": "0",
    "net.bridge.bridge-nf-call-iptables": "0",
    "net.bridge.bridge-nf-call-ip6tables": "0",
    "net.bridge.bridge-nf-call-arptables": "0",
}
# The switch's own kernel must not speak on the segments it bridges.
SWITCH_SYSCTLS = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}


def ip_batch(lines, namespace=None):
    where = ["-n", namespace] if namespace else []
    run(["ip", *where, "-batch", "-"], "\n".join(lines) + "\n")


def existing(chassis):
    return [node for node in chassis.nodes if os.path.exists(chassis.namespace_path(node))]


def create_all(chassis):
    if taken := existing(chassis):
        raise LabError(f"network namespace {chassis.namespace(taken[0])} exists already: another lab of this name?", 2)
    for node in chassis.nodes:
        create(chassis, node)
    lines = []
    for bridge in chassis.bridges:
        lines += [f"link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                  f"link set {bridge} up"]
    ip_batch(lines, chassis.namespace("switch"))
    connect(chassis, chassis.ports)
    for node in chassis.nodes:
        configure(chassis, node)


def create(chassis, node):
    ip_batch([f"netns add {chassis.namespace(node)}"])
    sysctls = SYSCTLS | (SWITCH_SYSCTLS if node == "switch" else {})
    settings = [f"{key}={value}" for key, value in sysctls.items()]
    # -e: a kernel without the bridge's netfilter hooks has no such switch to turn off.
    run(in_network(chassis.namespace_path(node), ["sysctl", "-q", "-e", "-w", *settings]))


def connect(chassis, ports):
    """Lay cables: both ends are made in their namespaces, no name ever appears in the machine's own."""
    switch = chassis.namespace("switch")
    lines = [f"link add {port.switch_port} netns {switch} type veth "
             f"peer name {port.interface} netns {chassis.namespace(port.node)}" for port in ports]
    ip_batch(lines)
    lines = []
    for port in ports:
        lines += [f"link set {port.switch_port} master {port.bridge}", f"link set {port.switch_port} up"]
    ip_batch(lines, switch)


def configure(chassis, node):
    lines = ["link set lo up"]
    lines += [f"link set {port.interface} up" for port in chassis.ports if port.node == node]
    for interface, address in chassis.addresses(node):
        lines.append(f"address add {address} dev {interface}" + (" nodad" if ":" in address else ""))
    lines += [f"route add {route}" for route in chassis.routes(node)]
    ip_batch(lines, chassis.namespace(node))


def recreate_blade(chassis, blade):
    """What a reboot does to a blade's kernel: routes, rules and connections are gone, the cables are the same."""
    # The kernel takes a namespace down when it finds the time; until then the cables' other ends would be in the way.
    unplug(chassis, blade)
    delete([chassis.namespace(blade)])
    create(chassis, blade)
    connect(chassis, chassis.blade_ports(blade))
    configure(chassis, blade)


def unplug(chassis, blade):
    """Takes a blade's cables away, both ends of each, and is done when it returns."""
    switch = chassis.namespace("switch")
    present = {link["ifname"] for link in json.loads(run(["ip", "-n", switch, "-json", "link", "show"]))}
    lines = [f"link delete {port.switch_port}" for port in chassis.blade_ports(blade) if port.switch_port in present]
    if lines:
        ip_batch(lines, switch)


def delete(namespaces):
    present = [name for name in namespaces if os.path.exists(f"/run/netns/{name}")]
    if present:
        ip_batch([f"netns delete {name}" for name in present])
