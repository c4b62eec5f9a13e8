#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The mirrors' image holds what a mirror runs, and nothing else of the host that it is built on (rule 25)."""

import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD_IMAGE = os.environ.get("PLANTED", str(ROOT / "guest-agent" / "image" / "build-image"))
# Made by the script itself, with what it writes there.
OF_ITS_OWN = {
    "etc/passwd": b"root::0:0:root:/root:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
    "etc/hosts": b"127.0.0.1 localhost\n::1 localhost\n",
}


def files_of(image):
    """{name: content} of the regular files in a newc archive."""
    found, at = {}, 0
    while True:
        mode, size, named = (int(image[at + begin:at + begin + 8], 16) for begin in (14, 54, 94))
        name = image[at + 110:at + 110 + named - 1].decode()
        begin = at + 110 + named + (-(110 + named) % 4)
        if name == "TRAILER!!!":
            return found
        if stat.S_ISREG(mode):
            found[name] = image[begin:begin + size]
        at = begin + size + (-size % 4)


class MirrorsImage(unittest.TestCase):
    def build(self, folder):
        modules = folder / "6.0-test"
        (modules / "kernel").mkdir(parents=True)
        (modules / "kernel" / "virtio_net.ko").write_bytes(b"a module")
        (modules / "modules.dep").write_text("kernel/virtio_net.ko:\n")
        for table in ("modules.alias", "modules.builtin"):
            (modules / table).write_text("")
        (folder / "modules").symlink_to(modules)
        subprocess.run([sys.executable, "-B", BUILD_IMAGE, "--kernel-cache", str(folder), "--agent", "/usr/bin/true",
                        "--output", str(folder / "image")], check=True)
        return files_of((folder / "image").read_bytes())

    def test_nothing_of_the_host_is_in_it_but_programs_and_their_libraries(self):
        with tempfile.TemporaryDirectory() as folder:
            files = self.build(pathlib.Path(folder))
        programs = {"bin/busybox", "init", "usr/bin/understudy-guest-agent", "etc/shell-port",
                    "etc/acpi/PWRF/00000080"}
        self.assertLessEqual(programs, files.keys())
        for name, content in files.items():
            with self.subTest(name):
                if name in OF_ITS_OWN:
                    self.assertEqual(content, OF_ITS_OWN[name])
                elif name not in programs and name != "etc/modules":
                    self.assertRegex(name, r"^(lib|lib64|usr/lib|usr/lib64)/([^/]+/)*[^/]+\.so(\.[^/]+)?$"
                                     r"|^lib/modules/6\.0-test/(kernel/virtio_net\.ko|modules\.(dep|alias|builtin))$")


if __name__ == "__main__":
    unittest.main()
