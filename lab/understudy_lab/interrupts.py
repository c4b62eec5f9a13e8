# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C, SIGTERM and SIGHUP end a command in order: the first one raises Interrupted in the main thread, whatever
comes after it is ignored, since taking down must not be broken off. Exit status 128+n, as a shell tells a death by
signal.

    with_signals_raised()        from now on
    with held(): ...             one that arrives meanwhile is raised at the end of the block
"""
import contextlib
import os
import signal

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """No Exception: nothing that handles errors may take it for one."""

    def __init__(self, number):
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.status = 128 + number


class _Arrivals:
    depth, waiting, raised = 0, None, False
    terminals = ()


def _raise(number):
    _Arrivals.raised = True
    raise Interrupted(number)


def _arrived(number, _frame):
    if number == signal.SIGHUP:
        _leave_terminal()
    if _Arrivals.raised:
        return
    if _Arrivals.depth:
        _Arrivals.waiting = _Arrivals.waiting or number
    else:
        _raise(number)


def _leave_terminal():
    """Words to a terminal that is gone are errors, and would come in the way of taking down."""
    for descriptor in _Arrivals.terminals:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def with_signals_raised():
    _Arrivals.terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
    for number in NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup and "&" asked for that
            signal.signal(number, _arrived)


@contextlib.contextmanager
def held():
    _Arrivals.depth += 1
    try:
        yield
    finally:
        _Arrivals.depth -= 1
        if not _Arrivals.depth and _Arrivals.waiting and not _Arrivals.raised:
            _raise(_Arrivals.waiting)
