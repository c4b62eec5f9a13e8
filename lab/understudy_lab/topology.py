# SPDX-License-Identifier: Apache-2.0
"""A chassis with N actives as plain values.

    server ─ srv-ext ┐                      ┌ b1-ext ─ ext0 blade-1 int0 ─ b1-int ┐
                     ├──── bridge ext ──────┤ ...                                 ├ bridge int1 ─ c1-int ─ client-1
                     │                      └ b4-ext ─ ext0 blade-4 int1..intN ───┘ ...
    control ─ ctl-mnt ─── bridge mnt ──────── b<i>-mnt ─ mnt0 of every blade

Several control-servers have a node each (control-2, control-3), the last one may run on the standby instead, at an
address of its own. Blade N+1 is the standby; it is attached to every intranet. All bridges are in the switch's
namespace.
"""
import re
from dataclasses import dataclass

from .errors import LabError

MAX_ACTIVES = 32
HTTP_PORT = 8080
ECHO_PORT = 7007
SESSION_PORT = 7500


def checked_name(name):
    """A lab's name becomes part of paths and of namespaces' names: nothing else than this may reach them."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?", name):
        raise LabError(f"lab name {name!r}: use 1 to 16 of a-z, 0-9 and -", 2)
    return name


@dataclass(frozen=True)
class Port:
    """One cable: a port of the switch and the interface at its other end."""
    switch_port: str
    bridge: str
    node: str
    interface: str
    network: str  # maintenance, external, intranet


@dataclass(frozen=True)
class Chassis:
    name: str
    actives: int
    controls: int = 1
    control_on_standby: bool = False

    def __post_init__(self):
        checked_name(self.name)
        if not 1 <= self.actives <= MAX_ACTIVES:
            raise LabError(f"{self.actives} actives: use 1 to {MAX_ACTIVES}", 2)

    # --- control-servers ---
    @property
    def control_numbers(self):
        return range(1, self.controls + 1)

    def control_node(self, number):
        """Where control-server `number` runs."""
        if number == 1:
            return "control"
        on_standby = self.control_on_standby and number == self.controls
        return self.standby if on_standby else f"control-{number}"

    @property
    def more_controls(self):
        nodes = [self.control_node(number) for number in self.control_numbers if number > 1]
        return [node for node in nodes if node != self.standby]

    @staticmethod
    def control_address(number):
        return f"192.168.1.{249 + number}"

    @property
    def control_endpoints(self):
        return [f"{self.control_address(number)}:7400" for number in self.control_numbers]

    # --- names ---
    @property
    def numbers(self):
        return range(1, self.actives + 1)

    @property
    def standby(self):
        return self.blade(self.actives + 1)

    @property
    def active_blades(self):
        return [self.blade(i) for i in self.numbers]

    @property
    def blades(self):
        return self.active_blades + [self.standby]

    @property
    def roles(self):
        return [f"role-{i}" for i in self.numbers]

    @property
    def nodes(self):
        """Every node with a network namespace of its own, the switch first."""
        clients = [f"client-{i}" for i in self.numbers]
        return ["switch", "control", "server"] + self.more_controls + clients + self.blades

    @property
    def mirrors(self):
        return [f"mirror-{i}" for i in self.numbers]

    @staticmethod
    def blade(i):
        return f"blade-{i}"

    def blade_number(self, blade):
        if blade not in self.blades:
            raise LabError(f"no blade {blade!r} in lab {self.name!r}: there are {', '.join(self.blades)}", 2)
        return int(blade.rsplit("-", 1)[1])

    def namespace(self, node):
        return f"us-{self.name}-{node}"

    def namespace_path(self, node):
        return f"/run/netns/{self.namespace(node)}"

    # --- cables ---
    @property
    def bridges(self):
        return ["ext"] + [f"int{i}" for i in self.numbers] + ["mnt"]

    def blade_ports(self, blade):
        i = self.blade_number(blade)
        ports = [Port(f"b{i}-ext", "ext", blade, "ext0", "external")]
        if blade == self.standby:
            ports += [Port(f"b{i}-int{j}", f"int{j}", blade, f"int{j}", "intranet") for j in self.numbers]
        else:
            ports.append(Port(f"b{i}-int", f"int{i}", blade, "int0", "intranet"))
        ports.append(Port(f"b{i}-mnt", "mnt", blade, "mnt0", "maintenance"))
        return ports

    @property
    def ports(self):
        ports = [Port("srv-ext", "ext", "server", "ext0", "external"),
                 Port("ctl-mnt", "mnt", "control", "mnt0", "maintenance")]
        ports += [Port(f"ctl{node.rsplit('-', 1)[1]}-mnt", "mnt", node, "mnt0", "maintenance")
                  for node in self.more_controls]
        ports += [Port(f"c{i}-int", f"int{i}", f"client-{i}", "int0", "intranet") for i in self.numbers]
        for blade in self.blades:
            ports += self.blade_ports(blade)
        return ports

    def service_ports(self, blade):
        return [port.switch_port for port in self.blade_ports(blade) if port.network != "maintenance"]

    # --- addresses ---
    def role_external(self, i):
        """Role i's external address; i = N+1 is the standby's own host."""
        return f"10.23.4.{120 + i}"

    def role_external6(self, i):
        return f"fd00:23:4::{120 + i}"

    def role_session_address(self, i, family):
        """Where client i reaches the application of role i."""
        return f"10.50.{i}.1" if family == "ipv4" else f"fd00:50:{i}::1"

    def maintenance(self, blade):
        return f"192.168.1.{self.blade_number(blade)}"

    def server_address(self, family):
        return "10.23.4.1" if family == "ipv4" else "fd00:23:4::1"

    def addresses(self, node):
        """(interface, address/length) that the lab itself gives to a node; a role's addresses are the product's."""
        if node == "server":
            return [("ext0", "10.23.4.1/24"), ("ext0", "fd00:23:4::1/64")]
        if node == "control":
            return [("mnt0", "192.168.1.250/24"), ("mnt0", "fd00:1::250/64")]
        if node.startswith("control-"):
            number = int(node.rsplit("-", 1)[1])
            return [("mnt0", f"{self.control_address(number)}/24"), ("mnt0", f"fd00:1::{249 + number}/64")]
        if node.startswith("client-"):
            i = int(node.rsplit("-", 1)[1])
            return [("int0", f"10.50.{i}.2/24"), ("int0", f"fd00:50:{i}::2/64")]
        if node.startswith("blade-"):
            i = self.blade_number(node)
            own = [("mnt0", f"192.168.1.{i}/24"), ("mnt0", f"fd00:1::{i}/64")]
            if node == self.standby and self.control_on_standby:
                own += [("mnt0", f"{self.control_address(self.controls)}/24")]
            if node == self.standby:
                own += [("ext0", self.role_external(i) + "/24"), ("ext0", self.role_external6(i) + "/64")]
            return own
        return []

    def routes(self, node):
        """`ip route add` arguments."""
        if node == "server":
            return [f"fd00:50:{i}::/64 via {self.role_external6(i)} dev ext0" for i in self.numbers]
        if node.startswith("client-"):
            i = int(node.rsplit("-", 1)[1])
            return [f"default via 10.50.{i}.1 dev int0", "::/0 via fe80::1 dev int0"]
        return []
