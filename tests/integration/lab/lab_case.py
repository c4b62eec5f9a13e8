# SPDX-License-Identifier: Apache-2.0
"""A test case with a chassis of its own, taken down whatever happens; and gateways set up by hand, for tests of the lab
that need a role served somewhere without the product."""
import json
import os
import secrets
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(REPOSITORY, "lab"))

from understudy_lab import blades, config_files, lab, namespaces, processes  # noqa: E402
from understudy_lab.shell import in_network, run  # noqa: E402
from understudy_lab.state import State  # noqa: E402
from understudy_lab.waiting import until  # noqa: E402,F401


class LabCase(unittest.TestCase):
    actives = 1
    options = {}

    def setUp(self):
        self.name = "t" + secrets.token_hex(3)
        self.addCleanup(lab.down, self.name)
        self.state = lab.up(self.name, self.actives, {"daemons": False} | self.options, lambda text: None)
        self.chassis = self.state.chassis
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def result(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)

    def tool(self, node, *command):
        """A process in a node's network; ended with the test."""
        program = os.path.join(lab.binaries(), command[0])
        process = subprocess.Popen(in_network(self.chassis.namespace_path(node), [program, *command[1:]]),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()

    def started(self, node, *command):
        """A tool that prints a line when it is ready."""
        process = self.tool(node, *command)
        self.assertTrue(process.stdout.readline(), f"{command[0]} said nothing")
        return process

    def finish(self, process, seconds=60):
        said, _ = process.communicate(timeout=seconds)
        return process.returncode, said

    def in_blade(self, blade, command, text=None):
        return run(blades.inside(self.state, blade, command), text)

    def serve_by_hand(self, i, blade):
        """Role i on a blade's own interfaces, as an operator without the product would do it."""
        internal = "int0" if blade != self.chassis.standby else f"int{i}"
        lines = []
        for interface, mac in (("ext0", f"02:e0:00:00:00:{i:02x}"), (internal, f"02:e1:00:00:00:{i:02x}")):
            lines.append(f"link set {interface} address {mac}")
        for interface, addresses in (("ext0", [f"{self.chassis.role_external(i)}/24",
                                               f"{self.chassis.role_external6(i)}/64 nodad"]),
                                     (internal, [f"10.50.{i}.1/24", f"fd00:50:{i}::1/64 nodad", "fe80::1/64 nodad"])):
            lines += [f"address add {address} dev {interface}" for address in addresses]
        namespaces.ip_batch(lines, self.chassis.namespace(blade))
        settings = [f"{key}={value}" for key, value in config_files.ROLE_SYSCTLS.items() if "nf_conntrack" not in key]
        self.in_blade(blade, ["sysctl", "-q", "-w", *settings])
        self.in_blade(blade, ["nft", "-f", "-"], config_files.ruleset(i))
