# SPDX-License-Identifier: Apache-2.0
"""One thread of a process hangs, the others run: a tracer stops it. Signals would stop the whole process."""
import contextlib
import ctypes
import os

ATTACH, DETACH = 16, 17
WALL = 0x40000000  # wait for a thread that is no child


def _ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request}, {thread})")


@contextlib.contextmanager
def held(thread):
    """Its tracer must be the thread that calls this."""
    _ptrace(ATTACH, thread)
    try:
        os.waitpid(thread, WALL)
        yield
    finally:
        _ptrace(DETACH, thread)


def states(pid):
    """Thread -> its state, one letter as /proc tells it: t is held by a tracer, T stopped by a signal."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8", errors="replace") as stat:
                found[int(thread)] = stat.read().rsplit(")", 1)[1].split()[0]
    return found
