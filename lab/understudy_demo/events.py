# SPDX-License-Identifier: Apache-2.0
"""The control-server's events as they happen. One process follows; asking again and again would cost the processor time
that the mirrors need."""
import json
import subprocess
import threading
import time

from understudy_lab import daemons, processes
from understudy_lab.interrupts import held


class EventStream:
    def __init__(self, state, binaries, tell):
        self._tell, self._events, self._changed = tell, [], threading.Condition()
        command, environment = daemons.operator_command(state, binaries, "events", "--json", "--last", "0", "--follow")
        with held():
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                             start_new_session=True, env=environment)
            state.remember("events", processes.identity(self._process.pid))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            with self._changed:
                self._events.append(event)
                self._changed.notify_all()
            self._tell(event)

    @property
    def all(self):
        with self._changed:
            return list(self._events)

    def wait(self, condition, seconds):
        """True as soon as `condition(events)` holds, False when it does not in time or the stream ended."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition(self._events):
                left = deadline - time.monotonic()
                if left <= 0 or (self._process.poll() is not None and not self._thread.is_alive()):
                    return condition(self._events)
                self._changed.wait(min(left, 0.5))
            return True

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self._thread.join(5)
