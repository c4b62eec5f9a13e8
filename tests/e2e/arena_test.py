# SPDX-License-Identifier: Apache-2.0
"""A boost::interprocess::map in an arena goes through a takeover and a movement. The blade is powered off, and the
movement ordered, while one checkpoint follows the other: afterwards the map is exactly what one of them made it, and
not older than the last one that was acknowledged as mirrored. A movement that the application is not
quiesced for is rolled back."""
# Covers: examples/arena-map/map.cpp, examples/arena-map/map_service.cpp
import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from group_case import REPOSITORY, GroupCase, ROLE, memory, say, until  # noqa: E402
from understudy_lab.topology import SESSION_PORT  # noqa: E402

KEYS = 1500
NEW_NETWORK = 0x40000000


class Client:
    """One connection to the role, from client 1's network. OSError: it ended."""

    def __init__(self, chassis, seconds=5):
        failed = []

        def connect():  # a network namespace is entered by a thread, and its sockets stay there
            try:
                with open(chassis.namespace_path("client-1"), encoding="utf-8") as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), NEW_NETWORK) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                address = (chassis.role_session_address(1, "ipv4"), SESSION_PORT)
                self.socket = socket.create_connection(address, timeout=seconds)
            except OSError as error:
                failed.append(error)
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        self.lines = self.socket.makefile("r", encoding="utf-8", newline="\n")

    def ask(self, request):
        self.socket.sendall(request.encode() + b"\n")
        answer = self.lines.readline()
        if not answer.endswith("\n"):
            raise OSError("the connection ended")
        return answer.strip()

    def close(self):
        self.lines.close()
        self.socket.close()


class Writer:
    """Gives every key the next number, again and again, until the connection breaks."""

    def __init__(self, chassis, first):
        self.client, self.sent, self.told, self.wrong = Client(chassis), first - 1, first - 1, []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while True:
                self.sent += 1
                answer = self.client.ask(f"FILL {KEYS} {self.sent}")
                if not answer.startswith("OK"):
                    self.wrong.append(answer)
                if answer == "OK":  # without EXPOSED: the mirror held it
                    self.told = self.sent
        except OSError:
            pass

    def end(self):
        with contextlib.suppress(OSError):  # it has ended already
            self.client.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.client.close()


class ArenaMap(GroupCase):
    has_traffic = False
    options = {"program": "arena-map", "program_arguments": ["--arena-kib", "1024"]}

    def test_a_map_goes_through_a_takeover_and_a_movement(self):
        writer = self.write_on(0)
        self.take_over()
        number = self.look(writer, at_least=writer.told)
        self.a_movement_that_it_is_not_quiesced_for_rolls_back()
        self.assertEqual(self.held()[0], number)

        inode = memory.region_of_guest(self.state, ROLE)
        writer = self.write_on(number + 1)
        since = self.order_move()
        self.wait_event(lambda event: event.get("phase") == "resume", "the movement ends", since)
        self.wait_state("on-host", 10)
        # Exposed on the mirror, so nothing was promised; but memory that is moved loses nothing that was answered.
        number = self.look(writer, at_least=writer.sent - 1)
        self.assertEqual(memory.region_of_application(self.state, ROLE, "arena-map"), inode)

        writer = self.write_on(number + 1)
        self.look(writer, at_least=number + 1)

    def write_on(self, first):
        """Returns when some checkpoints were answered and the next ones are under way."""
        writer = Writer(self.chassis, first)
        until(lambda: writer.sent >= first + 5 or not writer.thread.is_alive(), "checkpoints are answered", 60)
        self.assertTrue(writer.thread.is_alive(), writer.wrong)
        say(f"checkpoint {writer.sent} is under way, {writer.told} is the last one that is mirrored")
        return writer

    def a_movement_that_it_is_not_quiesced_for_rolls_back(self):
        guests = self.guests()
        self.in_mirror("kill -STOP $(pidof arena-map)")
        since = self.order_move()
        told = self.wait_event(lambda event: event["kind"] == "movement" and "rolled back" in event["text"],
                               "the movement rolls back", since)
        say(told["text"])
        self.assertIn("quiesced", told["text"])
        self.wait_state("on-mirror", 10)
        self.in_mirror("kill -CONT $(pidof arena-map)")
        self.assertEqual(self.guests(), guests)

    def in_mirror(self, command):
        tool = os.path.join(REPOSITORY, "lab", "understudy-lab")
        subprocess.run([tool, "exec", "--name", self.state.name, "mirror-1", "--", command], check=True, timeout=30)

    def held(self):
        """The number that all keys have where the map is served now, and what COUNT says."""
        answers = []

        def answered():
            try:
                client = Client(self.chassis, 2)
                answers[:] = [client.ask(request).removesuffix(" EXPOSED") for request in ("SAME", "COUNT")]
                client.close()
            except OSError:
                return False
            return True
        until(answered, "the map is served", 30)
        say(f"the map says {answers}")
        word, _, number = answers[0].partition(" ")
        self.assertEqual(word, "SAME", "it is between two checkpoints")
        return int(number), answers[1]

    def look(self, writer, at_least):
        writer.end()
        number, count = self.held()
        say(f"{writer.sent} was the last that was sent, {writer.told} the last that was mirrored")
        self.assertEqual(writer.wrong, [])
        self.assertGreaterEqual(number, at_least)
        self.assertLessEqual(number, writer.sent)
        self.assertEqual(count, f"COUNT {KEYS} {KEYS * (number + 1)}")
        return number


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # processes of a lab outlive their Popen
