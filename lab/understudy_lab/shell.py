# SPDX-License-Identifier: Apache-2.0
"""Running commands; a failure says what was run and what it said."""
import shlex
import subprocess

from .errors import LabError


def run(command, text=None, timeout=60, env=None, accepted=(0,)):
    """Output of the command; LabError when it fails."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout, check=False,
                              env=env)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed; ./dev setup installs what is missing") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{shlex.join(command)}: no end after {timeout} s") from None
    if done.returncode not in accepted:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{shlex.join(command)}: status {done.returncode}: {said}")
    return done.stdout


def in_network(path, command):
    """`command` inside a network namespace; the mounts stay the machine's. The process id is the command's own."""
    return ["nsenter", f"--net={path}", "--", *command]
