# SPDX-License-Identifier: Apache-2.0
"""The mirrors' kernel and image, and a shell inside a mirror.

Both are kept in the build directory: fetching the kernel needs the network once, the image is built again when one of
its parts is newer.
"""
import fcntl
import os
import secrets
import socket
import time

from .config_files import APPLICATIONS, APPLICATION_PROGRAMS
from .errors import LabError
from .shell import run

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SOURCE = os.path.join(REPOSITORY, "guest-agent", "image")


def directory(build):
    return os.path.join(build, "mirror")


def _is_current(image, parts):
    return os.path.exists(image) and all(os.path.getmtime(part) <= os.path.getmtime(image) for part in parts)


def prepare(build, say):
    """Kernel and image, there and current. One at a time: labs may start side by side."""
    where, binaries = directory(build), os.path.join(build, "bin")
    image = os.path.join(where, "initramfs")
    agent = os.path.join(binaries, "understudy-guest-agent")
    applications = [name for name in APPLICATION_PROGRAMS if os.path.exists(os.path.join(binaries, name))]
    builder = os.path.join(SOURCE, "build-image")
    for part in (agent, builder):
        if not os.path.exists(part):
            raise LabError(f"{part} is missing; ./dev build", 2)
    os.makedirs(where, exist_ok=True)
    with open(os.path.join(where, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(where, "vmlinux")):
            say("fetching the mirrors' kernel (once)")
        run([os.path.join(SOURCE, "fetch-kernel"), where], timeout=600)
        parts = [agent, *(os.path.join(binaries, name) for name in applications), os.path.realpath(__file__)]
        parts += [os.path.join(SOURCE, name) for name in os.listdir(SOURCE)]
        if not _is_current(image, parts):
            say("building the mirrors' image")
            added = [word for name in applications
                     for word in ("--add", f"{os.path.join(binaries, name)}:{APPLICATIONS}/{name}")]
            run([builder, "--kernel-cache", where, "--agent", agent, *added, "--output", image], timeout=300)


def shell(socket_path, command, write, seconds=20.0):
    """Run a line in a mirror through its debug port; output goes to `write` as it comes. Returns the exit status.

    A request is "TOKEN COMMAND"; the answer is "TOKEN begin", the output, "TOKEN exit STATUS". The command must begin
    within `seconds`, and may then take as long as it wants: whoever closes the port ends it.
    """
    if "\n" in command:
        raise LabError("a command for a mirror is one line", 2)
    token = secrets.token_hex(8)
    begin, end = f"{token} begin".encode(), f"{token} exit ".encode()
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as port:
        port.settimeout(1.0)
        try:
            port.connect(socket_path)
        except OSError as error:
            raise LabError(f"the mirror's shell port {socket_path} is not there: {error.strerror}") from None
        port.sendall(f"{token} {command}\n".encode())
        buffered, started, held = b"", False, False
        while started or time.monotonic() < deadline:
            try:
                got = port.recv(65536)
            except TimeoutError:
                continue
            if not got:
                raise LabError("the mirror's shell port was closed: is the guest gone, or another shell open?")
            buffered += got
            *lines, buffered = buffered.split(b"\n")
            for line in lines:
                line = line.rstrip(b"\r")
                if started and line.startswith(end):
                    return int(line[len(end):])
                if started:
                    # The marker's own line is preceded by an empty one that is not the command's.
                    write((b"\n" if held else b"") + line)
                    held = True
                started = started or line == begin
    raise LabError(f"the mirror did not answer within {seconds:.0f} s")
