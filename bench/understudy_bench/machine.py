# SPDX-License-Identifier: Apache-2.0
"""What a run needs of the machine, given back at its end: a directory in memory, huge pages, a Redis server."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

HUGE_BYTES = 2 << 20
REDIS_READY_S = 10


def describe():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        lines = file.read().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return {"cpu": models[0] if models else os.uname().machine, "cores": len(os.sched_getaffinity(0)),
            "virtual": "hypervisor" in flags, "kernel": os.uname().release,
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "load": os.getloadavg()[0]}


@contextlib.contextmanager
def directory_in_memory():
    path = tempfile.mkdtemp(prefix="understudy-bench.", dir="/dev/shm")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def huge_kilobytes():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("ShmemHugePages:"))


@contextlib.contextmanager
def huge_pages(beside):
    """(a tmpfs on huge pages, None), or (None, why there is none). /dev/shm itself has them only where it was mounted
    with huge=; a tmpfs of its own needs no reservation, and gives back what it took."""
    if os.geteuid() != 0:
        yield None, "huge pages were not measured: mounting a tmpfs needs root"
        return
    place = os.path.join(beside, "huge")
    os.mkdir(place)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "huge=always,mode=700", "none", place], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        yield None, f"huge pages were not measured: {done.stderr.strip()}"
        return
    try:
        if gets_huge_pages(place):
            yield place, None
        else:
            yield None, "huge pages were not measured: this kernel gives a tmpfs with huge=always none"
    finally:
        subprocess.run(["umount", place], check=False)


def gets_huge_pages(place):
    """Looks, with a file of four of them."""
    path, size = os.path.join(place, "look"), 4 * HUGE_BYTES
    before = huge_kilobytes()
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    got = huge_kilobytes() - before
    os.unlink(path)
    return got >= size // 1024


def redis_command():
    """Debian's redis-server package starts a server of its own; the program lies in redis-tools under another name."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return name, path
    return "redis-server", shutil.which("redis-check-rdb")


@contextlib.contextmanager
def redis(directory):
    """(its socket, None) of a server that lives as long as the block, or (None, why there is none)."""
    name, path = redis_command()
    if not path:
        yield None, "Redis was not measured: there is no redis-server, valkey-server or redis-check-rdb"
        return
    socket = os.path.join(directory, "redis.socket")
    server = subprocess.Popen([name, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--save", "",
                               "--appendonly", "no", "--dir", directory], executable=path,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + REDIS_READY_S
        while not os.path.exists(socket):
            if server.poll() is not None or time.monotonic() > deadline:
                yield None, f"Redis was not measured: {path} does not serve"
                return
            time.sleep(0.02)
        yield socket, None
    finally:
        end(server)


def end(child):
    """By its pid, politely first."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
