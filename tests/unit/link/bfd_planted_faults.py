# SPDX-License-Identifier: Apache-2.0
"""Plants a fault into BFD's sources, one at a time, and wants a test red for each: what the tests are worth.

    bfd_planted_faults.py BUILD     the build directory, with bfd_test built; the tree is not changed
"""
import json
import os
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
AUTHENTICATION, SESSION = "link/src/bfd_authentication.cpp", "link/src/bfd_session.cpp"
# what is broken, where, what is replaced, by what, the tests that could find it
FAULTS = [
    ("the window is not looked at", AUTHENTICATION, "  return ahead >= least && ahead <= most;",
     "  return ahead + least + most > 0 || true;", "*Replay*:*Window*:*NotMeticulous*"),
    ("a number counts before its digest is checked", AUTHENTICATION,
     "  if (const auto wrong = check_digest(bytes); wrong != Discard::Kept) { return wrong; }\n  known_ = true;\n"
     "  received_ = sequence;",
     "  known_ = true;\n  received_ = sequence;\n"
     "  if (const auto wrong = check_digest(bytes); wrong != Discard::Kept) { return wrong; }", "*Forged*"),
    ("a freeze of our own does not open the window", AUTHENTICATION,
     "  open_until_ = now + detection_time;\n  forget_at_ = std::max", "  forget_at_ = std::max", "*Freeze*"),
    ("a freeze of our own forgets the number", AUTHENTICATION,
     "  forget_at_ = std::max(forget_at_, now + 2 * detection_time);", "", "*Freeze*"),
    ("the number is never forgotten", AUTHENTICATION, "if (!known_ || now >= forget_at_)", "if (!known_)",
     "*Forgotten*"),
    ("the digest is not compared", AUTHENTICATION,
     "  const bool right = digest && same(*digest, packet.subspan(digest_at, digest_bytes));",
     "  const bool right = digest.has_value();", "BfdAuthentication*"),
    ("the key is not in the digest", AUTHENTICATION,
     "  std::fill(std::copy(bytes.begin(), bytes.end(), place.begin()), place.end(), std::byte{0});",
     "  std::fill(place.begin(), place.end(), std::byte(bytes.size() * 0));", "BfdAuthentication*"),
    ("a packet without authentication is taken", AUTHENTICATION,
     "return in_use ? Discard::AuthenticationMissing : Discard::Kept;", "return Discard::Kept;",
     "BfdAuthentication*:BfdSessionAuthentication*"),
    ("the key id is not compared", AUTHENTICATION,
     "  if (byte_at(section_at + 2) != authentication_.key_id) { return Discard::AuthenticationOtherKey; }\n", "",
     "BfdAuthentication*"),
    ("the section's length is not checked", AUTHENTICATION, "if (!sized || bytes.size() != section_at + section)",
     "if (section_at + section == 0 && !sized)", "BfdAuthentication*"),
    ("the number is not kept over a restart", "link/src/bfd_service.cpp",
     "    if (peer.last_sequence != nullptr) { *peer.last_sequence = peer.session.transmit_sequence(); }\n", "",
     "*Restarted*"),
    ("the file is begun anew each time", "link/src/bfd_sequence_file.cpp", "  if (content->magic != magic) {",
     "  if (content->magic != 1) {", "BfdSequenceFile*"),
    ("a key file that others may read is taken", "link/src/bfd_key_file.cpp", "(found.st_mode & 077) != 0",
     "(found.st_mode & 0) != 0", "BfdKeyFile*"),
    ("no memory is locked", "link/src/bfd_service.cpp",
     "  if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0 && !warned.exchange(true)) {",
     "  if (false && !warned.exchange(true)) {", "*LockedMemory*"),
    ("a packet that waited is not noticed", SESSION, "if (is_late(now) && late_restarts_",
     "if (false && late_restarts_", "*Freeze*"),
    ("the number does not advance", SESSION, "{ ++transmit_sequence_; }", "{ transmit_sequence_ += 0; }",
     "BfdSessionAuthentication*"),
    ("answers out of turn are not bounded", SESSION, "if (out_of_turn_ < out_of_turn_max)",
     "if (out_of_turn_ < ~0U)", "BfdStorm*"),
]


class Planter:
    def __init__(self, build, folder):
        self.build, self.folder = os.path.abspath(build), folder
        with open(os.path.join(self.build, "compile_commands.json"), encoding="utf-8") as file:
            self.commands = {entry["file"]: entry for entry in json.load(file)}
        told = subprocess.run(["ninja", "-C", self.build, "-t", "commands", "bfd_test"], capture_output=True,
                              text=True, check=True).stdout
        line = [line for line in told.splitlines() if " -o tests/bfd_test " in line][-1]
        self.link = next(part.strip() for part in line.split("&&") if " -o tests/bfd_test " in part)

    def compile(self, path, text):
        """With the project's own command, but another source and no dependency file."""
        source, target = os.path.join(self.folder, os.path.basename(path)), os.path.join(self.folder, "planted.o")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        entry = self.commands[os.path.join(ROOT, path)]
        words, command = iter(shlex.split(entry["command"])), []
        for word in words:
            if word in ("-o", "-MT", "-MF"):
                next(words)
            elif word not in ("-MD", "-Werror", os.path.join(ROOT, path)):
                command.append(word)
        command += ["-w", "-I" + os.path.join(ROOT, "link", "src"), source, "-o", target]
        subprocess.run(command, cwd=entry["directory"], check=True)
        return target

    def red(self, name, path, text, tests):
        """The tests that fail with the fault in."""
        program = os.path.join(self.folder, "bfd_test")
        link = self.link.replace(" -o tests/bfd_test ", f" -o {program} {self.compile(path, text)} ")
        subprocess.run(link, shell=True, cwd=self.build, check=True)
        try:
            told = subprocess.run([program, "--gtest_filter=" + tests], capture_output=True, text=True, timeout=90,
                                  cwd=self.folder, check=False)
        except subprocess.TimeoutExpired:
            return [f"{name}: does not end"]
        failed = [line.split("]")[1].split("(")[0].strip() for line in told.stdout.splitlines()
                  if line.startswith("[  FAILED  ]") and "." in line]
        return failed or ([f"ended by {told.returncode}"] if told.returncode != 0 else [])


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    green = 0
    with tempfile.TemporaryDirectory() as folder:
        planter = Planter(sys.argv[1], folder)
        for name, path, good, bad, tests in FAULTS:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                text = file.read()
            if text.count(good) != 1:
                print(f"GONE   {name}: {path} has changed, plant it anew", flush=True)
                green += 1
                continue
            found = sorted(set(planter.red(name, path, text.replace(good, bad), tests)))
            print(f"{'red   ' if found else 'GREEN '} {name}: {', '.join(found) or 'no test fails'}", flush=True)
            green += not found
    print(f"{len(FAULTS) - green} passed, {green} failed")
    raise SystemExit(1 if green else 0)


if __name__ == "__main__":
    main()
