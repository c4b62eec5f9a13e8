# SPDX-License-Identifier: Apache-2.0
import tomllib
import unittest

import python_path  # noqa: F401
from understudy_lab import config_files
from understudy_lab.lab import DEFAULTS, belongs
from understudy_lab.state import State
from understudy_lab.topology import Chassis

APPLICATION = """[role.application]
name = "session-service"
command = ["/x/session-service", "--port", "7500"]
store = "sessions"
journal_kib = 1024
[[role.application.table]]
name = "sessions"
key_bytes = 8
value_bytes = 80
capacity = 4096
"""


class ConfigFiles(unittest.TestCase):
    def setUp(self):
        self.chassis = Chassis("lab", 2)

    def group(self, **chosen):
        options = DEFAULTS | {"application": APPLICATION} | chosen
        return tomllib.loads(config_files.group(self.chassis, State("lab"), options, ["/x/power", "--name", "lab"]))

    def test_the_group_names_every_blade_with_its_ports(self):
        blades = {blade["name"]: blade for blade in self.group()["blade"]}
        self.assertEqual(sorted(blades), ["blade-1", "blade-2", "blade-3"])
        self.assertEqual([blade["name"] for blade in blades.values() if blade["standby"]], ["blade-3"])
        self.assertEqual(blades["blade-2"]["switch_ports"], ["b2-ext", "b2-int"])

    def test_every_role_has_its_ports_addresses_and_application(self):
        role = self.group()["role"][1]
        self.assertEqual((role["name"], role["number"], role["active"]), ("role-2", 2, "blade-2"))
        ports = {port["name"]: port for port in role["port"]}
        self.assertEqual(ports["ext"]["mac"], "02:e0:00:00:00:02")
        self.assertEqual(ports["ext"]["addresses"], ["10.23.4.122/24", "fd00:23:4::122/64"])
        self.assertEqual(ports["int"]["network"], "intranet-2")
        self.assertIn("fe80::1/64", ports["int"]["addresses"])
        self.assertEqual(role["mirror_address"], "192.168.1.42/24")
        self.assertEqual(role["application"]["table"][0]["capacity"], 4096)
        self.assertEqual(role["application"]["command"], ["/srv/bin/session-service", "--port", "7500"])
        self.assertEqual(role["region_mib"] & (role["region_mib"] - 1), 0)
        self.assertEqual(role["sysctls"]["net.ipv4.ip_forward"], "1")
        self.assertEqual(len(role["route"]), 2)

    def test_a_role_has_the_priority_that_is_chosen_and_the_switch_answers_as_a_witness_when_it_is_to(self):
        bare, chosen = self.group(), self.group(priorities={"role-2": 200}, witness=True)
        self.assertEqual([role.get("priority") for role in chosen["role"]], [None, 200])
        self.assertEqual([role.get("priority") for role in bare["role"]], [None, None])
        self.assertEqual(chosen["witness"], [{"name": "switch", "method": "icmp", "address": "192.168.1.249"}])
        self.assertNotIn("witness", bare)

    def test_whatever_the_application_is_blades_and_mirrors_have_it_in_one_place(self):
        options = DEFAULTS | {"application": '[role.application]\ncommand = ["/y/arena-map", "--port", "7500"]\n'}
        self.assertIn('command = ["/srv/bin/arena-map", "--port", "7500"]', config_files.application_section(options))

    def test_a_blade_maps_each_network_to_its_interface(self):
        def read(name):
            return tomllib.loads(config_files.blade(self.chassis, name, "/m", DEFAULTS, State("lab")))

        self.assertEqual(read("blade-1")["networks"], {"external": "ext0", "intranet-1": "int0"})
        self.assertEqual(read("blade-3")["networks"], {"external": "ext0", "intranet-1": "int1", "intranet-2": "int2"})
        self.assertEqual(read("blade-3")["address"], "192.168.1.3/24")
        self.assertEqual(read("blade-1")["mirrors"]["memory"], "auto")
        chosen = config_files.blade(self.chassis, "blade-1", "/m", DEFAULTS | {"memory": "nvdimm"}, State("lab"))
        self.assertEqual(tomllib.loads(chosen)["mirrors"]["memory"], "nvdimm")

    def test_both_ends_of_every_bfd_session_name_the_same_key(self):
        blade = tomllib.loads(config_files.blade(self.chassis, "blade-1", "/m", DEFAULTS, State("lab")))
        self.assertEqual(blade["bfd"], self.group()["bfd"])
        self.assertEqual(blade["bfd"]["auth"], "meticulous-sha1")
        bare = config_files.blade(self.chassis, "blade-1", "/m", DEFAULTS | {"bfd_auth": "none"}, State("lab"))
        self.assertNotIn("bfd", tomllib.loads(bare))

    def test_wires_have_tls_unless_plain_text_is_asked_for(self):
        tls = self.group()["tls"]
        self.assertEqual(tls["key"].removesuffix(".key"), tls["certificate"].removesuffix(".crt"))
        self.assertTrue(tls["certificate"].endswith("/pki/control-server/control.crt"))
        read = lambda tls: tomllib.loads(  # noqa: E731
            config_files.blade(self.chassis, "blade-2", "/m", DEFAULTS | {"tls": tls}, State("lab")))["tls"]
        self.assertTrue(read(True)["certificate"].endswith("/pki/blade/blade-2.crt"))
        self.assertTrue(read(True)["mirrors"].endswith("/pki/mirror/blade-2"))
        self.assertEqual(read(False), {"plain_text": True})

    def test_every_blade_has_a_bmc_of_its_own_and_no_password_is_in_the_file(self):
        group = self.group(fencing="ipmi")
        self.assertEqual((group["power"]["driver"], group["power"]["agent"]), ("fence-agent", "fence_ipmilan"))
        self.assertEqual([blade["power"]["options"]["ip"] for blade in group["blade"]],
                         ["127.0.0.101", "127.0.0.102", "127.0.0.103"])
        files = {blade["power"]["secrets"]["password"] for blade in group["blade"]}
        self.assertEqual(len(files), 3)
        self.assertEqual(self.group()["power"], {"driver": "command", "command": ["/x/power", "--name", "lab"]})
        self.assertEqual(self.group(power=False, fencing="ipmi")["power"], {"driver": "none"})

    def test_an_external_switch_command_takes_the_bridges_place(self):
        self.assertEqual(self.group(switch_command=["/x/switch"])["switch"],
                         {"driver": "command", "command": ["/x/switch"]})
        self.assertEqual(self.group()["switch"], {"driver": "linux-bridge", "netns": "us-lab-switch"})

    def test_a_rule_set_can_be_loaded_twice_and_names_no_interface(self):
        text = config_files.ruleset(2)
        self.assertLess(text.index("delete table"), text.index("chain"))
        self.assertIn("snat ip to 10.23.4.122", text)
        self.assertNotIn("ifname", text)

    def test_a_lab_owns_its_namespaces_and_no_others(self):
        self.assertTrue(belongs("us-lab-blade-2", "lab"))
        self.assertTrue(belongs("us-lab-client-12", "lab"))
        self.assertFalse(belongs("us-lab-b-blade-2", "lab"))
        self.assertTrue(belongs("us-lab-b-blade-2", "lab-b"))
        self.assertFalse(belongs("other", "lab"))


if __name__ == "__main__":
    unittest.main()
