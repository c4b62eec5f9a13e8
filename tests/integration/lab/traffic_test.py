# SPDX-License-Identifier: Apache-2.0
"""Traffic through a gateway set up by hand on blade-1: the tools tell what passed, and what did not."""
# Covers: lab/traffic/capture_main.cpp, lab/traffic/echo_main.cpp, lab/traffic/http_server.cpp,
# lab/traffic/packet_socket.cpp, lab/traffic/probe_main.cpp, lab/traffic/tcp_flags_main.cpp,
# lab/traffic/transfer_main.cpp
import os
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from lab_case import LabCase, blades, namespaces, run, until  # noqa: E402
from understudy_lab import switch  # noqa: E402
from understudy_lab.shell import in_network  # noqa: E402

REPLY = struct.Struct("<Qqq")


class Traffic(LabCase):
    def setUp(self):
        super().setUp()
        self.serve_by_hand(1, "blade-1")

    def server(self):
        return self.started("server", "lab-http-server", "--results", self.directory, "--stop-file", self.path("stop"),
                            "--minimum-bytes", "300000")

    def transfer(self, direction, family, *more):
        name = f"{direction}-{family}"
        return self.tool("client-1", "lab-transfer", direction, "--server", self.chassis.server_address(family),
                         "--id", name,
                         "--output", self.path(f"client-{name}.json"), *more)

    def stop(self):
        with open(self.path("stop"), "w", encoding="utf-8"):
            pass

    def replies(self, name):
        with open(self.path(name), "rb") as file:
            whole = file.read()
        return list(REPLY.iter_unpack(whole[:len(whole) - len(whole) % REPLY.size]))

    def test_transfers_of_both_families_and_directions_have_one_hash_one_syn_and_no_reset(self):
        self.server()
        flags = {node: self.started(node, "lab-tcp-flags", "--output", self.path(f"flags-{node}.json"))
                 for node in ("client-1", "server")}
        running = [self.transfer(direction, family, *(["--stop-file", self.path("stop"), "--minimum-bytes", "300000"]
                                                      if direction == "upload" else []))
                   for direction in ("download", "upload") for family in ("ipv4", "ipv6")]
        self.stop()
        for process in running:
            status, said = self.finish(process)
            self.assertEqual(status, 0, said)
        for direction in ("download", "upload"):
            for family in ("ipv4", "ipv6"):
                name = f"{direction}-{family}.json"
                until(lambda: os.path.exists(self.path("server-" + name)), "the server's result")
                client, server = self.result("client-" + name), self.result("server-" + name)
                self.assertEqual(client["sha256"], server["sha256"])
                self.assertEqual(client["bytes"], server["bytes"])
                self.assertGreaterEqual(client["bytes"], 300000)
                self.assertIsNone(server["error"])
        for process in flags.values():
            self.end(process)
        for node in flags:
            told = self.result(f"flags-{node}.json")
            transfers = [flow for flow in told["connections"]
                         if flow["local" if node == "server" else "peer"].endswith(":8080")]
            self.assertEqual([flow["syns"] for flow in transfers], [1] * 4)
            self.assertEqual([flow["resets_in"] + flow["resets_out"] for flow in transfers], [0] * 4)

    def test_a_reset_is_counted_where_it_arrives(self):
        """A refused port: the server's kernel resets."""
        flags = self.started("client-1", "lab-tcp-flags", "--output", self.path("flags.json"))
        status, _ = self.finish(self.transfer("download", "ipv4", "--port", "9"))
        self.assertNotEqual(status, 0)
        self.end(flags)
        refused = [flow for flow in self.result("flags.json")["connections"] if flow["peer"].endswith(":9")]
        self.assertEqual([(flow["syns"], flow["resets_in"]) for flow in refused], [(1, 1)])

    def test_power_off_is_silent_no_fin_and_no_reset_of_a_dying_process_leaves_the_blade(self):
        """A TCP connection that ends in a process of the blade: when the blade dies, its peer hears nothing."""
        self.server()
        client = blades.inside(self.state, "blade-1",
                               [os.path.join(os.environ["UNDERSTUDY_BUILD"], "bin", "lab-transfer"),
                                                       "download", "--server", "10.23.4.1", "--id", "in-blade"])
        flags = self.started("server", "lab-tcp-flags", "--output", self.path("flags.json"))
        process = subprocess.Popen(client, stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        sockets = in_network(self.chassis.namespace_path("server"),
                             ["ss", "-Htn", "state", "established", "sport", "=", "8080"])
        until(lambda: run(sockets).strip(), "the connection is there")
        blades.power_off(self.state, "blade-1")
        process.wait(10)
        # The server sends on into the void: its connection stays established, and unacknowledged bytes grow.
        until(lambda: int((run(sockets).split() or ["0", "0"])[1]) > 0, "unacknowledged bytes at the server")
        self.assertTrue(run(sockets).strip())
        self.end(flags)
        flow = [flow for flow in self.result("flags.json")["connections"] if flow["local"].endswith(":8080")]
        self.assertEqual([one["resets_in"] for one in flow], [0])

    def test_the_probe_writes_every_reply_and_a_cut_shows_as_a_gap(self):
        self.tool("server", "lab-echo")
        probe = self.tool("client-1", "lab-probe", "--target", "10.23.4.1", "--replies", self.path("replies"),
                          "--summary", self.path("probe.json"))
        until(lambda: os.path.exists(self.path("replies")) and len(self.replies("replies")) > 200, "replies come")
        switch.silence(self.chassis, "cut", ["b1-ext"])
        until(lambda: time.time_ns() - self.replies("replies")[-1][2] > 300_000_000, "no reply for a while")
        before = len(self.replies("replies"))
        switch.heal(self.chassis)
        until(lambda: len(self.replies("replies")) > before + 200, "replies come again")
        self.end(probe)
        summary, replies = self.result("probe.json"), self.replies("replies")
        self.assertEqual(summary["received"], len(replies))
        self.assertLess(summary["received"], summary["sent"])
        self.assertEqual(len({reply[0] for reply in replies}), len(replies))
        gap = max(later[2] - earlier[2] for earlier, later in zip(replies, replies[1:]))
        self.assertGreater(gap, 190_000_000)
        for sequence, sent, received in replies:
            self.assertGreater(received, sent)

    def test_new_connections_again_and_again(self):
        self.server()
        process = self.tool("client-1", "lab-transfer", "repeat", "--server", "10.23.4.1", "--id", "fresh",
                            "--interval-ms", "10",
                            "--output", self.path("fresh.json"))
        until(lambda: len(run(in_network(self.chassis.namespace_path("client-1"), ["ss", "-Htan"])).splitlines()) > 3,
              "connections")
        self.end(process)
        told = self.result("fresh.json")
        self.assertEqual(told["failed"], 0)
        self.assertGreater(told["made"], 3)


class TwoOwners(LabCase):
    """Role 1 on blade-1, then on blade-2 too."""
    def setUp(self):
        super().setUp()
        self.serve_by_hand(1, "blade-1")
        self.capture = self.started("switch", "lab-capture", "--output", self.path("capture.json"))

    def announce(self, blade):
        """A gratuitous ARP for the role's external address."""
        mac, address = bytes.fromhex("02e000000001"), bytes([10, 23, 4, 121])
        arp = bytes.fromhex("0001080006040001") + mac + address + bytes(6) + address
        program = ("import socket, sys; port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); "
                   "port.bind(('ext0', 0)); port.send(bytes.fromhex(sys.argv[1]))")
        frame = b"\xff" * 6 + mac + bytes.fromhex("0806") + arp
        self.in_blade(blade, ["/usr/bin/python3", "-c", program, frame.hex()])

    def captured(self):
        self.end(self.capture)
        return self.result("capture.json")

    def reach_server(self):
        run(in_network(self.chassis.namespace_path("client-1"), ["ping", "-c", "1", "-W", "2", "10.23.4.1"]))

    def test_one_owner_is_no_violation(self):
        self.reach_server()
        self.announce("blade-1")
        told = self.captured()
        self.assertEqual(told["violations"], [])
        self.assertIn(("b1-ext", "02:e0:00:00:00:01"),
                      [(change["port"], change["address"]) for change in told["changes"]])
        self.assertGreaterEqual(len(told["announcements"]), 1)
        self.assertEqual(told["dropped"], 0)

    def test_a_handover_after_isolation_is_no_violation_and_frames_of_the_isolated_place_do_not_count(self):
        self.reach_server()
        switch.silence(self.chassis, "cut", ["b1-ext", "b1-int"])
        self.serve_by_hand(1, "blade-2")
        self.announce("blade-2")
        self.reach_server()
        self.announce("blade-1")  # into its cut cable: it arrives at the port and goes no further
        told = self.captured()
        self.assertEqual(told["violations"], [])
        moved = [(change["before"], change["port"]) for change in told["changes"]
                 if change["address"] == "02:e0:00:00:00:01"]
        self.assertEqual(moved, [("", "b1-ext"), ("b1-ext", "b2-ext")])
        self.assertGreaterEqual(told["held_back"], 1)

    def test_a_planted_second_owner_is_seen(self):
        self.announce("blade-1")
        self.serve_by_hand(1, "blade-2")
        self.announce("blade-2")
        self.announce("blade-1")
        told = self.captured()
        self.assertNotEqual(told["violations"], [])
        self.assertIn(("b1-ext", "b2-ext"), [(one["port"], one["owner"]) for one in told["violations"]])

    def test_a_second_owner_that_announces_an_ipv6_address_is_seen(self):
        def advertise(blade):
            # A new address that is announced by the kernel: it asks on the link with the service MAC as its source.
            self.in_blade(blade, ["ping", "-6", "-n", "-c", "1", "-W", "2", "fd00:23:4::1"])
        advertise("blade-1")
        self.serve_by_hand(1, "blade-2")
        advertise("blade-2")
        namespaces.ip_batch(["neigh flush dev ext0"], self.chassis.namespace("blade-1"))
        advertise("blade-1")
        kinds = {one["frame"] for one in self.captured()["violations"]}
        self.assertIn("neighbour discovery", kinds)


if __name__ == "__main__":
    unittest.main()
