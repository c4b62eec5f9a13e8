# SPDX-License-Identifier: Apache-2.0
"""A mistake in group.toml or blade.toml is one line with file and line and exit status 2; the real program has started
nothing and left nothing behind."""
import os
import subprocess
import tempfile
import unittest

import python_path  # noqa: F401
from understudy_lab import config_files
from understudy_lab.lab import DEFAULTS
from understudy_lab.state import State
from understudy_lab.topology import Chassis

# What is changed, into what, and what is said of it.
GROUP = (
    ("127.0.0.1:7400", "127.0.0.1:0", "is no ADDRESS:PORT"),
    ("127.0.0.1:7400", "127.0.0.1:99999", "is no ADDRESS:PORT"),
    ("127.0.0.1:7400", "192.168.1.41:7400", "this machine has no address 192.168.1.41"),
    ("192.168.1.41/24", "127.0.0.1/8", "is used twice: by [control] listen and by role-1's mirror"),
    ("10.23.4.121/24", "127.0.0.1/24", "is used twice: by [control] listen and by role-1 port ext"),
    ("10.23.4.121/24", "10.23.4.0/24", "is the address of its whole network"),
    ("10.23.4.121/24", "224.0.0.1/24", "is a multicast address"),
    ("02:e1:00:00:00:01", "02:E0:00:00:00:01", "MAC 02:e0:00:00:00:01 is used twice"),
    ("02:e0:00:00:00:01", "01:e0:00:00:00:01", "is a multicast MAC"),
    ("02:e0:00:00:00:01", "00:00:00:00:00:00", "is the MAC of no interface"),
    ("intranet-1", "external", "network of role-1 external is used twice"),
    ("region_mib = 32", "region_mib = 1048576", "1 to 65536"),
    ("role-1.nft", "garbage.nft", "nftables refuses"),
    ("plain_text = true", "", "[tls] has no ca; write ca, certificate and key"),
    ("plain_text = true", 'plain_text = true\nca = "/x"', "plain_text = true and certificates exclude each other"),
    ("[tls]\nplain_text = true", "", "there is no [tls]; write ca, certificate and key"),
    ("plain_text = true", 'ca = "/no/ca"\ncertificate = "/no/c"\nkey = "/no/k"', "/no/ca cannot be read"),
    ("control.db", "folder", "is a directory; write"),
    ("control.db", "garbage.nft", "is no state store; write"),
    ('"/bin/true", "power"', '"/no/power"', '"/no/power" is no program'),
    ('"/bin/true", "switch"', '"/no/switch"', '"/no/switch" is no program'),
    ('driver = "command" # the switch\ncommand = ["/bin/true", "switch"]\n',
     'driver = "linux-bridge"\nnetns = "us-nowhere"\n', "cannot open network namespace /run/netns/us-nowhere"),
)
PLAIN = DEFAULTS | {"tls": False}
BLADE = (
    ('"blade-1"', '"../x"', '"../x" is no name'),
    ("192.168.1.250:7400", "[fd00:1::250]:7400", "is of another family than this blade's address"),
    ("plain_text = true", "", "[tls] has no ca; write ca, certificate and key"),
    ("RUN_DIR", "/etc/passwd", '"/etc/passwd" cannot be made: /etc/passwd is no directory; write'),
    ("RUN_DIR", "/etc/passwd/x", '"/etc/passwd/x" cannot be made: /etc/passwd is no directory; write'),
)


class BadConfiguration(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(self.path("folder"))
        self.write("garbage.nft", "table inet x {{{\n")
        self.write("role-1.nft", config_files.ruleset(1))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def refused(self, words, name, text, *before, check=False):
        self.write(name, text)
        there = sorted(os.listdir(self.folder))
        program = {"group.toml": "understudy-control-server", "blade.toml": "understudy-host-agent"}[name]
        program = os.path.join(os.environ["UNDERSTUDY_BUILD"], "bin", program)
        done = subprocess.run([*before, program, "--config", self.path(name), *(["--check"] if check else [])],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertRegex(done.stderr, rf"\A{self.path(name)}:\d+: [^\n]*\n\Z")
        self.assertIn(words, done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), there)

    def group(self):
        options = PLAIN | {"application": "", "bfd_auth": "none"}
        text = config_files.group(Chassis("nowhere", 1), State("nowhere"), options, ["/bin/true", "power"])
        begin, end = text.index("[switch]"), text.index("[power]")
        the_switch = '[switch]\ndriver = "command" # the switch\ncommand = ["/bin/true", "switch"]\n'
        return (text[:begin] + the_switch + text[end:]).replace("192.168.1.250:", "127.0.0.1:").replace(
            State("nowhere").path("control.db"), self.path("control.db"))

    def test_the_control_server(self):
        good = self.group()
        for what, instead, words in GROUP:
            with self.subTest(words):
                self.assertIn(what, good)
                self.refused(words, "group.toml", good.replace(what, instead, 1))
        self.refused("nftables refuses", "group.toml", good.replace("role-1.nft", "garbage.nft"), check=True)

    @unittest.skipIf(os.geteuid(), "only root has capabilities to lose")
    def test_a_process_without_capabilities(self):
        bare = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        bridge = self.group().replace('"command" # the switch\ncommand = ["/bin/true", "switch"]', '"linux-bridge"')
        self.refused("CAP_NET_ADMIN", "group.toml", bridge, *bare)
        self.refused("CAP_NET_ADMIN", "blade.toml", self.blade(), *bare)
        self.refused('the switch has no port "b1-ext"', "group.toml", bridge)

    def blade(self):
        text = config_files.blade(Chassis("nowhere", 1), "blade-1", self.folder, PLAIN | {"bfd_auth": "none"},
                                  State("nowhere"))
        return text.replace("192.168.1.1/24", "127.0.0.1/8").replace("/run/understudy", "RUN_DIR")

    def test_the_host_agent(self):
        good = self.blade()
        for what, instead, words in BLADE:
            with self.subTest(words):
                self.assertIn(what, good)
                self.refused(words, "blade.toml", good.replace(what, instead, 1))


if __name__ == "__main__":
    unittest.main()
