# SPDX-License-Identifier: Apache-2.0
"""What a run needs of the machine, given back at its end: a directory in memory, huge pages, a Redis server."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

HUGE_PAGES = "/proc/sys/vm/nr_hugepages"
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


def read_number(path):
    with open(path, encoding="utf-8") as file:
        return int(file.read())


def write_number(path, value):
    with open(path, "w", encoding="utf-8") as file:
        file.write(str(value))


@contextlib.contextmanager
def huge_pages(needed_bytes, beside):
    """(a hugetlbfs with room for so many bytes, None), or (None, why there is none). The reservation of before comes
    back at the end."""
    if os.geteuid() != 0:
        yield None, "huge pages were not measured: reserving them needs root"
        return
    before = read_number(HUGE_PAGES)
    mounted = None
    try:
        wanted = before + -(-needed_bytes // HUGE_BYTES)
        write_number(HUGE_PAGES, wanted)
        got = read_number(HUGE_PAGES)
        if got < wanted:
            yield None, (f"huge pages were not measured: the kernel found {got - before} of "
                         f"{wanted - before} pages of 2 MiB")
            return
        mounted = os.path.join(beside, "huge")
        os.mkdir(mounted)
        done = subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", mounted], check=False,
                              capture_output=True, text=True)
        if done.returncode:
            os.rmdir(mounted)
            mounted = None
            yield None, f"huge pages were not measured: {done.stderr.strip()}"
            return
        yield mounted, None
    finally:
        if mounted:
            subprocess.run(["umount", mounted], check=False)
        write_number(HUGE_PAGES, before)


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
