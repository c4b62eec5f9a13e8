# SPDX-License-Identifier: Apache-2.0
"""A socket in systemd's place: who says WATCHDOG=1 to it, and when for the last time."""
import os
import socket
import struct
import tempfile
import threading
import time


class Notified:
    """`limit_s`: WatchdogSec= of whoever is started from now on by this process, or by what it starts."""
    def __init__(self, limit_s):
        self.limit_s, self._fed = limit_s, {}
        self._folder = tempfile.TemporaryDirectory()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        path = os.path.join(self._folder.name, "notify")
        self._socket.bind(path)
        self._ours = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(limit_s * 1_000_000)}
        os.environ.update(self._ours)
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self):
        for name in self._ours:
            os.environ.pop(name, None)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._folder.cleanup()

    def _listen(self):
        while True:
            text, control, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
            if not text and not control:
                return
            pid = next(struct.unpack("3i", data)[0] for _, kind, data in control if kind == socket.SCM_CREDENTIALS)
            if b"WATCHDOG=1" in text.split(b"\n"):
                self._fed[pid] = time.monotonic()

    def fed_at(self, pid):
        """None: it was never fed."""
        return self._fed.get(pid)

    def would_be_killed(self, pid):
        return pid in self._fed and time.monotonic() - self._fed[pid] > self.limit_s
