# SPDX-License-Identifier: Apache-2.0
"""What a lab has made: /run/understudy-lab/NAME/lab.json.

Names of namespaces follow from the lab's name and size and are written before the first one is made; a process is
written right after its start, and processes are found by namespace as well. So a lab that dies at any instant leaves
nothing that `down` does not find. Each change is: lock, read, change, rename into place.
"""
import contextlib
import fcntl
import json
import os
import shutil

from .errors import LabError
from .topology import Chassis, checked_name

ROOT = "/run/understudy-lab"


def names():
    return sorted(os.listdir(ROOT)) if os.path.isdir(ROOT) else []


def chassis_of(name, actives, options):
    return Chassis(name, actives, options.get("control_servers", 1), options.get("control_on_standby", False))


class State:
    def __init__(self, name):
        self.name = checked_name(name)
        self.directory = os.path.join(ROOT, name)
        self.file = os.path.join(self.directory, "lab.json")
        self.logs = os.path.join(self.directory, "logs")

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def log(self, node):
        return os.path.join(self.logs, node + ".log")

    @property
    def exists(self):
        return os.path.isdir(self.directory)

    def create(self, chassis, options):
        os.makedirs(ROOT, exist_ok=True)
        try:
            os.mkdir(self.directory)
        except FileExistsError:
            raise LabError(f"lab {self.name!r} is up, or was not taken down: "
                           f"./dev lab down --name {self.name}, or choose another --name", 2) from None
        os.mkdir(self.logs)
        self._write({"name": self.name, "actives": chassis.actives, "options": options, "phase": "starting",
                     "namespaces": [chassis.namespace(node) for node in chassis.nodes],
                     "blades": {}, "processes": {}})

    def read(self):
        try:
            with open(self.file, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            known = ", ".join(names()) or "none"
            raise LabError(f"no lab {self.name!r} is up (labs: {known}); ./dev lab up starts one", 2) from None

    @property
    def chassis(self):
        content = self.read()
        return chassis_of(self.name, content["actives"], content["options"])

    @contextlib.contextmanager
    def change(self):
        """The state as a dict, written back when the block ends without an exception."""
        with open(self.path("lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self.read()
            yield content
            self._write(content)

    def _write(self, content):
        temporary = f"{self.file}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        os.rename(temporary, self.file)

    def remember(self, what, known):
        with self.change() as content:
            content["processes"][what] = known

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        for directory in (ROOT, "/run/understudy"):
            with contextlib.suppress(OSError):  # still used: not empty
                os.rmdir(directory)
