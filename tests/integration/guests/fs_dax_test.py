# SPDX-License-Identifier: Apache-2.0
"""A region in a file on fs-dax, and what is refused of an nvdimm, by a real kernel in a real guest.

The mirrors' own image has no file system for it, so this one is made here: an init that tries an application's region
on a raw nvdimm, on file systems without DAX, and on one with it. What the host's file holds afterwards is what counts.
"""
import mmap
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lab"))
from lab_case import lab  # noqa: E402
from understudy_lab import guests  # noqa: E402

MODULES = ["lib/crc16.ko", "fs/mbcache.ko", "fs/jbd2/jbd2.ko", "fs/ext4/ext4.ko"]
NVDIMM_BYTES = 34 << 20
MAGIC = b"UNDRSTDY"
PAGE = 4096
INIT = """#!/bin/sh
export PATH=/usr/bin:/usr/sbin:/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
exec >/dev/console 2>&1 </dev/null
export TERM=dumb
while read -r module; do insmod "$module"; done < /etc/modules
for module in crc16 mbcache jbd2 ext4; do insmod /modules/$module.ko; done
ip link set lo up
for wait in $(seq 100); do [ -e /dev/pmem0 ] && break; usleep 20000; done
try() { # WHAT PATH: an application alone, with its region there
  UNDERSTUDY_REGION=$2 timeout 2 session-service --port 7600 2>&1 | sed "s/^/[$1] /"
}
format() { mke2fs -b 4096 /dev/pmem0 >/dev/null && mount -t ext4 -o "$1" /dev/pmem0 /mnt; }
mkdir -p /mnt
try raw /dev/pmem0
format rw && try "raw, file" /mnt/region
umount /mnt
cd /sys/bus/nd
echo namespace0.0 > drivers/nd_pmem/unbind
echo ram > devices/pfn0.0/mode
echo 2097152 > devices/pfn0.0/align
cat /proc/sys/kernel/random/uuid > devices/pfn0.0/uuid
echo namespace0.0 > devices/pfn0.0/namespace
echo pfn0.0 > drivers/nd_pmem/bind
for wait in $(seq 100); do [ -e /dev/pmem0 ] && break; usleep 20000; done
format rw && try "no dax" /mnt/region
umount /mnt
format dax=always && try dax /mnt/region
echo "[end]"
poweroff -f
"""


class FsDax(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        build = lab.build_directory()
        guests.prepare(build, lambda text: None)
        self.kernel = guests.directory(build)
        self.nvdimm = os.path.join(self.directory, "nvdimm")
        with open(self.nvdimm, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, NVDIMM_BYTES)
        self.image = self.build_image(os.path.join(build, "bin", "session-service"))

    def build_image(self, program):
        """The mirrors' image with another init behind it, which takes the place of the first one."""
        whole = os.path.join(self.directory, "image")
        command = [os.path.join(guests.SOURCE, "build-image"), "--kernel-cache", self.kernel, "--output", whole,
                   "--add", f"{program}:/usr/bin/session-service"]
        for module in MODULES:
            command += ["--add", f"{self.kernel}/modules/kernel/{module}:/modules/{os.path.basename(module)}"]
        subprocess.run(command, check=True)
        with open(os.path.join(self.directory, "init"), "w", encoding="utf-8") as file:
            file.write(INIT)
        os.chmod(file.name, 0o755)
        behind = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=self.directory, check=True,
                                input=b"init\n", stdout=subprocess.PIPE).stdout
        with open(whole, "ab") as file:
            file.write(b"\0" * (-file.tell() % 4) + behind)
        return whole

    def boot(self):
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-machine", "pc,graphics=off,nvdimm=on,accel=tcg", "-cpu", "max,la57=off",
                   "-m", f"size=192M,slots=1,maxmem={192 + (NVDIMM_BYTES >> 20)}M",
                   "-kernel", os.path.join(self.kernel, "vmlinux"), "-initrd", self.image,
                   "-append", "console=ttyS0 quiet panic=-1", "-serial", "stdio",
                   "-object", f"memory-backend-file,id=region,share=on,size={NVDIMM_BYTES},mem-path={self.nvdimm}",
                   "-device", "nvdimm,memdev=region"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=90,
                              check=True).stdout.decode(errors="replace")

    def regions(self):
        """Where in the host's file a region begins."""
        with open(self.nvdimm, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
            return [at for at in range(0, NVDIMM_BYTES, PAGE) if memory[at:at + len(MAGIC)] == MAGIC]

    def test_only_a_file_with_dax_is_taken_and_the_host_sees_its_bytes(self):
        told = self.boot()
        self.assertIn("[end]", told)
        self.assertRegex(told, r"\[raw\].*is a block device")
        self.assertRegex(told, r"\[raw, file\].*mounted without DAX")
        self.assertRegex(told, r"\[no dax\].*mounted without DAX")
        self.assertRegex(told, r"\[dax\].*active under term 1")
        self.assertEqual(len(self.regions()), 1, told)


if __name__ == "__main__":
    unittest.main()
