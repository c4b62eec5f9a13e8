# SPDX-License-Identifier: Apache-2.0
import ipaddress
import unittest

import python_path  # noqa: F401
from understudy_lab.errors import LabError
from understudy_lab.topology import MAX_ACTIVES, Chassis


class Topology(unittest.TestCase):
    def test_three_actives_have_the_addresses_of_the_source(self):
        sut = Chassis("lab", 3)
        self.assertEqual(sut.standby, "blade-4")
        self.assertEqual([sut.role_external(i) for i in (1, 2, 3, 4)], [f"10.23.4.{n}" for n in (121, 122, 123, 124)])
        self.assertIn(("ext0", "10.23.4.124/24"), sut.addresses("blade-4"))
        self.assertIn(("ext0", "fd00:23:4::124/64"), sut.addresses("blade-4"))
        self.assertNotIn("ext0", [interface for interface, _ in sut.addresses("blade-1")])
        self.assertEqual(sut.maintenance("blade-4"), "192.168.1.4")

    def test_the_standby_is_attached_to_every_intranet_and_an_active_to_its_own(self):
        sut = Chassis("lab", 2)
        self.assertEqual(sut.service_ports("blade-1"), ["b1-ext", "b1-int"])
        self.assertEqual(sut.service_ports("blade-3"), ["b3-ext", "b3-int1", "b3-int2"])
        self.assertEqual({port.bridge for port in sut.ports if port.node == "blade-2"}, {"ext", "int2", "mnt"})

    def test_any_size_has_unique_ports_and_addresses_and_names_the_kernel_accepts(self):
        for actives in (1, 2, 5, MAX_ACTIVES):
            sut = Chassis("a-long-lab-name", actives)
            switch_ports = [port.switch_port for port in sut.ports]
            self.assertEqual(len(switch_ports), len(set(switch_ports)))
            self.assertTrue(all(len(port) <= 15 for port in switch_ports))
            self.assertEqual(len(sut.nodes), 3 + 2 * actives + 1)
            addresses = [address for node in sut.nodes for _, address in sut.addresses(node)]
            addresses += [sut.role_external(i) + "/24" for i in sut.numbers]
            addresses += [f"192.168.1.{40 + i}/24" for i in sut.numbers]
            self.assertEqual(len(addresses), len(set(addresses)))
            for address in addresses:
                ipaddress.ip_interface(address)

    def test_labs_side_by_side_share_no_namespace(self):
        self.assertFalse({Chassis("a", 2).namespace(node) for node in Chassis("a", 2).nodes}
                         & {Chassis("b", 2).namespace(node) for node in Chassis("b", 2).nodes})

    def test_bad_input_is_one_line_and_status_2(self):
        for name, actives in (("lab", 0), ("lab", -1), ("lab", MAX_ACTIVES + 1), ("", 1), ("../x", 1), ("a" * 17, 1),
                              ("A", 1)):
            with self.assertRaises(LabError) as refused:
                Chassis(name, actives)
            self.assertEqual(refused.exception.status, 2)
        with self.assertRaises(LabError):
            Chassis("lab", 1).blade_number("blade-3")


if __name__ == "__main__":
    unittest.main()
