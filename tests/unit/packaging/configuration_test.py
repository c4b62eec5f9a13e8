# SPDX-License-Identifier: Apache-2.0
"""The reference of the two configuration files has every key that the daemons read and no other, and the examples are
taken by the daemons themselves."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
EXAMPLES = os.path.join(REPOSITORY, "packaging", "examples")
REFERENCE = os.path.join(REPOSITORY, "docs", "CONFIGURATION.md")
READERS = ["control-server/edge/config_*.cpp", "host-agent/edge/config.cpp", "link/src/tls_settings.cpp",
           "link/src/bfd_key_file.cpp"]
# A key is the first argument of a getter of ConfigTable, or of a reader's own helper around one.
READ = re.compile(r'\b(?:string|strings|integer|table|tables)(?:_or|_or_empty)?\(\s*"([a-z_0-9]+)"'
                  r'|\bboolean_or\(\s*"([a-z_0-9]+)"|\bstring_pairs\(\s*"([a-z_0-9]+)"'
                  r'|\bread_name\(\w+, "([a-z_]+)"|\bnumber\("([a-z_]+)"|\bread\("([a-z_]+)", drill')
CONTROL_SERVER, HOST_AGENT = sys.argv.pop(1), sys.argv.pop(1)


def keys_read():
    found = set()
    for pattern in READERS:
        for path in glob.glob(os.path.join(REPOSITORY, pattern)):
            with open(path, encoding="utf-8") as file:
                found |= {word for match in READ.findall(file.read()) for word in match if word}
    return found


def keys_documented():
    """Words in backquotes of the first two columns of the tables below a file's heading."""
    with open(REFERENCE, encoding="utf-8") as file:
        text = file.read().split("## group.toml", 1)[1]
    found = set()
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = line.strip("|").split("|")
        for code in re.findall(r"`([^`]+)`", "|".join(cells[:-2])):
            found |= set(re.findall(r"[a-z_0-9]+", code.strip("[]")))
    return found


def keys_of(table):
    found = set()
    for key, value in table.items():
        found.add(key)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                found |= keys_of(inner)
    return found


class Reference(unittest.TestCase):
    def test_every_key_that_is_read_is_there_and_no_other(self):
        read, documented = keys_read(), keys_documented()
        self.assertGreater(len(read), 80, "the pattern finds no getters any more")
        self.assertEqual(read - documented, set(), "read, and not in CONFIGURATION.md")
        self.assertEqual(documented - read, set(), "in CONFIGURATION.md, and read by nobody")


class Examples(unittest.TestCase):
    def check(self, program, path):
        return subprocess.run([program, "--config", path, "--check"], capture_output=True, text=True, check=False)

    def test_the_control_server_takes_its_own(self):
        done = self.check(CONTROL_SERVER, os.path.join(EXAMPLES, "group.toml"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with tempfile.TemporaryDirectory() as directory:  # and would not take any
            shutil.copytree(EXAMPLES, directory, dirs_exist_ok=True)
            with open(os.path.join(directory, "group.toml"), "a", encoding="utf-8") as file:
                file.write("flow_capacitty = 1\n")
            done = self.check(CONTROL_SERVER, os.path.join(directory, "group.toml"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("flow_capacitty", done.stderr)

    def test_the_host_agents_names_no_key_that_it_does_not_know(self):
        """Its interfaces and address are looked for on the machine, so it cannot be taken here."""
        with open(os.path.join(EXAMPLES, "blade.toml"), "rb") as file:
            example = tomllib.load(file)
        networks = set(example["networks"])
        self.assertEqual(keys_of(example) - networks - keys_read() - {"networks"}, set())
        with open(os.path.join(EXAMPLES, "group.toml"), "rb") as file:
            group = tomllib.load(file)
        named = {port["network"] for role in group["role"] for port in role["port"]}
        self.assertEqual(networks, named, "the standby is on every network of the group's roles")
        done = self.check(HOST_AGENT, os.path.join(EXAMPLES, "blade.toml"))
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("unknown", done.stderr)


if __name__ == "__main__":
    unittest.main()
