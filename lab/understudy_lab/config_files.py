# SPDX-License-Identifier: Apache-2.0
"""The configuration files of a lab, as text: the same files that an operator of a real group writes."""
import json
import os
import re
import secrets

from . import bmcs, control_servers, pki, switch
from .topology import SESSION_PORT

ROLE_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    # A segment of a connection that the place does not know is dropped (with the rule set below), never answered.
    "net.netfilter.nf_conntrack_tcp_loose": "0",
    # A mirrored connection carries no window history.
    "net.netfilter.nf_conntrack_tcp_be_liberal": "1",
}
# Where blades (lab-init --program) and mirrors (build-image --add) have the roles' applications.
APPLICATIONS = "/srv/bin"
APPLICATION_PROGRAMS = ("session-service", "arena-map")  # what a mirror's image has, as far as it is built
BFD_AUTHENTICATIONS = ("meticulous-sha1", "sha1", "simple", "none")
FENCINGS = ("command", "ipmi")  # the lab's own power switch; a simulated BMC for each blade
POLICIES = ("always", "when-slow", "when-quiet", "manual")
MEMORIES = ("auto", "ivshmem", "nvdimm")  # what a region is to its guest


def quoted(value):
    """TOML's basic strings and arrays of them are written as JSON's are."""
    return json.dumps(value)


def ruleset(i):
    """Role i's rules. Addresses, no interface names: those differ from place to place."""
    return f"""table inet gateway
delete table inet gateway
table inet gateway {{
  chain source_nat {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.50.{i}.0/24 ip daddr != 10.50.{i}.0/24 snat ip to 10.23.4.{120 + i}
  }}
  chain from_outside {{
    type filter hook input priority filter; policy accept;
    ct state invalid counter drop
  }}
  chain through {{
    type filter hook forward priority filter; policy accept;
    ct state invalid counter drop
  }}
}}
"""


def bfd_section(options, state):
    """Both ends of every session read the same lines."""
    if options["bfd_auth"] == "none":
        return ""
    return f"""
[bfd]
auth = {quoted(options["bfd_auth"])}
key_id = 1
key_file = {quoted(state.path("bfd.key"))}
"""


def tls_section(chassis, whose, options):
    """`whose`: the path of key and certificate below the pki, without their endings."""
    if not options["tls"]:
        return "\n[tls]\nplain_text = true\n"
    own = os.path.join(pki.folder(chassis), whose)
    kind, _, name = whose.partition("/")
    mirrors = f"mirrors = {quoted(os.path.join(pki.folder(chassis), 'mirror', name))}\n" if kind == "blade" else ""
    return f"""
[tls]
ca = {quoted(os.path.join(pki.folder(chassis), "ca.crt"))}
certificate = {quoted(own + ".crt")}
key = {quoted(own + ".key")}
{mirrors}"""


def switch_section(chassis, options):
    if options["switch_command"]:
        return f'driver = "command"\ncommand = {quoted(options["switch_command"])}\n'
    return f'driver = "linux-bridge"\nnetns = {quoted(chassis.namespace("switch"))}\n'


def leases_section(options):
    return "\n[leases]\nenabled = true\n" if options["leases"] else ""


def power_section(options, power_command):
    if not options["power"]:
        return 'driver = "none"\n'
    if options["fencing"] == "command":
        return f'driver = "command"\ncommand = {quoted(power_command)}\n'
    return f"""driver = "fence-agent"
agent = "fence_ipmilan"
deadline_ms = {options["power_deadline_ms"]}
[power.options]
username = {quoted(bmcs.USER)}
power_wait = "0"
"""


def blade_power_section(chassis, state, blade, options):
    if options["fencing"] != "ipmi":
        return ""
    return f"""[blade.power.options]
ip = {quoted(bmcs.address(chassis, blade))}
[blade.power.secrets]
password = {quoted(bmcs.password_file(state, blade))}
"""


def blade_section(chassis, blade):
    return f"""
[[blade]]
name = {quoted(blade)}
address = {quoted(chassis.maintenance(blade))}
switch_ports = {quoted(chassis.service_ports(blade))}
standby = {"true" if blade == chassis.standby else "false"}
"""


def witness_section(options):
    if not options["witness"]:
        return ""
    return f"""[[witness]]
name = "switch"
method = "icmp"
address = {quoted(switch.ADDRESS)}
"""


def role_section(chassis, i, options):
    chosen = options["priorities"].get(f"role-{i}")
    priority = f"\npriority = {chosen}" if chosen else ""
    sysctls = "\n".join(f"{quoted(key)} = {quoted(value)}" for key, value in ROLE_SYSCTLS.items())
    return f"""
[[role]]
name = "role-{i}"
number = {i}
active = "blade-{i}"{priority}
region_mib = {options["region_mib"]}
flow_capacity = 16384
mirror_address = "192.168.1.{40 + i}/24"
mirror_mac = "02:e2:00:00:00:{i:02x}"
mirror_memory_mib = {options["mirror_memory_mib"]}
ruleset_file = "role-{i}.nft"
[[role.port]]
name = "ext"
network = "external"
mac = "02:e0:00:00:00:{i:02x}"
addresses = ["{chassis.role_external(i)}/24", "{chassis.role_external6(i)}/64"]
[[role.port]]
name = "int"
network = "intranet-{i}"
mac = "02:e1:00:00:00:{i:02x}"
addresses = ["10.50.{i}.1/24", "fd00:50:{i}::1/64", "fe80::1/64"]
[[role.route]]
destination = "0.0.0.0/0"
gateway = "10.23.4.1"
[[role.route]]
destination = "::/0"
gateway = "fd00:23:4::1"
[role.sysctls]
{sysctls}
{health_section(options)}{application_section(options)}"""


def health_section(options):
    """An impatient one: a lab is to be quick."""
    if options["health"] is None:
        return ""
    return f"""[role.health]
command = {quoted(options["health"])}
interval_ms = 200
deadline_ms = 2000
failures = 3
"""


def application_section(options):
    """What the application's `--describe-store` printed: its tables are written down in one place only. It names the
    program where it was built; blades and mirrors have it elsewhere."""
    pattern = r'(command = \[)"[^"]*/([^"/]+)"'
    return re.sub(pattern, rf'\1"{APPLICATIONS}/\2"', options["application"])


def control_section(chassis, state, number):
    """What differs from control-server to control-server."""
    run_dir = state.path("control-run" if number == 1 else f"control-run-{number}")
    text = f'listen = {quoted(chassis.control_endpoints[number - 1])}\nrun_dir = {quoted(run_dir)}\n'
    if chassis.controls == 1:
        return text + f'state = {quoted(state.path("control.db"))}\n'
    node = chassis.control_node(number)
    return text + (f"blade = {quoted(node)}\n" if node in chassis.blades else "") + f"""\
servers = {quoted(chassis.control_endpoints)}
[control.etcd]
endpoints = {quoted(control_servers.endpoints(chassis))}
prefix = {quoted(f"understudy/{chassis.name}")}
plain_text = true
"""


def group(chassis, state, options, power_command, number=1):
    text = f"""# Group of the lab {chassis.name!r}, written by the lab.
[control]
{control_section(chassis, state, number)}{tls_section(chassis, f"control-server/{pki.control_name(number)}", options)}
[detection]
bfd_interval_ms = {options["bfd_interval_ms"]}
bfd_multiplier = {options["bfd_multiplier"]}
{bfd_section(options, state)}
[movement]
policy = {quoted(options["policy"])}
{leases_section(options)}{witness_section(options)}
[switch]
{switch_section(chassis, options)}
[power]
{power_section(options, power_command)}"""
    for blade in chassis.blades:
        text += blade_section(chassis, blade) + blade_power_section(chassis, state, blade, options)
    return text + "".join(role_section(chassis, i, options) for i in chassis.numbers)


def blade(chassis, name, mirror, options, state):
    """`mirror`: directory with the mirrors' kernel and initramfs. `options`: of the lab; "drill" is a command at test
    points of a movement, or None."""
    networks = {port.network if port.network != "intranet" else f"intranet-{port.bridge[3:]}": port.interface
                for port in chassis.blade_ports(name) if port.network != "maintenance"}
    lines = "\n".join(f"{network} = {quoted(interface)}" for network, interface in networks.items())
    return f"""# {name} of the lab {chassis.name!r}, written by the lab.
blade = {quoted(name)}
address = "{chassis.maintenance(name)}/24"
control = {quoted(chassis.control_endpoints)}
run_dir = "/run/understudy"
region_dir = "/dev/shm"
{tls_section(chassis, f"blade/{name}", options)}
[networks]
{lines}
{bfd_section(options, state)}
[mirrors]
maintenance_interface = "mnt0"
qemu = {quoted(options["qemu"])}
kernel = {quoted(os.path.join(mirror, "vmlinux"))}
initramfs = {quoted(os.path.join(mirror, "initramfs"))}
accelerator = "auto"
memory = {quoted(options["memory"])}
boot_deadline_s = {options["boot_deadline_s"]}
debug_shell = true
{drill_section(options["drill"])}"""


def drill_section(command):
    return f"""
[drill]
allow = true
frozen = {quoted(command + ["frozen"])}
committed = {quoted(command + ["committed"])}
""" if command else ""


def write_all(chassis, state, options, power_command, mirror):
    def write(name, text):
        os.makedirs(os.path.dirname(state.path(name)), exist_ok=True)
        with open(state.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    if options["bfd_auth"] != "none":
        descriptor = os.open(state.path("bfd.key"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(12) + "\n")  # 16 characters: what a simple password may have at most
    for number in chassis.control_numbers:
        write(os.path.basename(control_servers.group_file(state, number)),
              group(chassis, state, options, power_command, number))
    for i in chassis.numbers:
        write(f"role-{i}.nft", ruleset(i))
    for name in chassis.blades:
        write(f"{name}/blade.toml", blade(chassis, name, mirror, options, state))


DESCRIBE_COMMAND = ["--describe-store", "--port", str(SESSION_PORT)]
