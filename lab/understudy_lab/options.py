# SPDX-License-Identifier: Apache-2.0
"""Options of the commands: a wrong one is one line, exit status 2, before anything is started."""
import argparse


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def number(kind, minimum, maximum=None):
    """An argparse type: int or float within bounds."""
    bounds = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"

    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= (value if maximum is None else maximum):
            raise argparse.ArgumentTypeError(f"{text!r}: use {bounds}")
        return value
    return read


def power_of_two(text):
    value = number(int, 1, 1 << 20)(text)
    if value & (value - 1):
        raise argparse.ArgumentTypeError(f"{value} is no power of two: use {1 << value.bit_length()}")
    return value
