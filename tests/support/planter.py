# SPDX-License-Identifier: Apache-2.0
"""Builds a test program anew with one of the product's sources altered, and tells which of its tests fail.

    source -> altered copy -> object (the project's own command) -> linked before the libraries -> run

The tree and the build directory are not changed. An object that is linked before a static library takes the place of
the library's own; one that the program links directly is replaced. "HEADER for SOURCE": the header is what is altered,
for this one source. A program whose name ends with .py is a test by its path; it finds the altered copy, beside copies
of what lies beside the source, by the name that is in PLANTED.
"""
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Gone(Exception):
    """The source does not hold what was to be altered: plant it anew."""


def altered(path, good, bad):
    """The text of the source, or of the header that is altered for it, with the fault."""
    header, _, source = path.rpartition(" for ")
    with open(os.path.join(ROOT, header or source), encoding="utf-8") as file:
        text = file.read()
    if text.count(good) != 1:
        raise Gone(header or source)
    return text.replace(good, bad)


class Planter:
    def __init__(self, build, folder):
        self.build, self.folder = os.path.abspath(build), folder
        self.commands, self.links = {}, {}
        with open(os.path.join(self.build, "compile_commands.json"), encoding="utf-8") as file:
            for entry in json.load(file):
                self.commands.setdefault(entry["file"], []).append(entry)

    def link_of(self, program):
        if program not in self.links:
            target = f" -o tests/{program} "
            told = subprocess.run(["ninja", "-C", self.build, "-t", "commands", program], capture_output=True,
                                  text=True, check=True).stdout
            line = [line for line in told.splitlines() if target in line][-1]
            self.links[program] = next(part.strip() for part in line.split("&&") if target in part)
        return self.links[program]

    def command_of(self, path, program):
        """A source may be compiled for several libraries, with other hooks: the one that this program links."""
        entries, link = self.commands[os.path.join(ROOT, path)], self.link_of(program)
        library = re.compile(r"CMakeFiles/(\S+)\.dir/")
        return next((entry for entry in entries if f"lib{library.search(entry['command'])[1]}.a" in link), entries[0])

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def compile(self, path, text, program):
        """With the project's own command, but another source and no dependency file."""
        source, target = self.write(os.path.basename(path), text), os.path.join(self.folder, "planted.o")
        entry = self.command_of(path, program)
        words, command = iter(shlex.split(entry["command"])), []
        for word in words:
            if word in ("-o", "-MT", "-MF"):
                next(words)
            elif word not in ("-MD", "-Werror", os.path.join(ROOT, path)):
                command.append(word)
        command.insert(next(i for i, word in enumerate(command) if word.startswith("-")), "-I" + self.folder)
        command += ["-w", "-I" + os.path.join(ROOT, os.path.dirname(path)), source, "-o", target]
        subprocess.run(command, cwd=entry["directory"], check=True)
        return target

    def lay_beside(self, path, text):
        """The altered header as whoever includes it finds it, its neighbours too: by its place below include/, below
        its part's own folder, or beside. What was laid is given back."""
        if "/include/" in path:
            return [self.write(path.rpartition("/include/")[2], text)]
        laid, folder = [], os.path.dirname(path)
        below = "core" if os.path.basename(folder) == "core" else ""
        for name in os.listdir(os.path.join(ROOT, folder)):
            if name.endswith(".hpp"):
                with open(os.path.join(ROOT, folder, name), encoding="utf-8") as file:
                    beside = file.read()
                laid.append(self.write(os.path.join(below, name), text if name == os.path.basename(path) else beside))
        return laid

    def red_of_script(self, path, text, test, words):
        """The same of a program that is not compiled."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            beside = os.path.join(folder, "beside")
            shutil.copytree(os.path.join(ROOT, os.path.dirname(path)), beside)
            planted = os.path.join(beside, os.path.basename(path))
            with open(planted, "w", encoding="utf-8") as file:
                file.write(text)
            command = [sys.executable, "-B", os.path.join(ROOT, test), "-v", "-k", words]
            told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False,
                                  env={**os.environ, "PLANTED": planted})
        if "Ran 0 tests" in told.stderr:
            raise Gone(f"{words} of {test}")
        return sorted({line.split()[1] for line in told.stderr.splitlines() if line.startswith(("FAIL:", "ERROR:"))})

    def red(self, path, good, bad, program, tests):
        """The tests of `program` that fail when `bad` stands for `good` in `path`."""
        text = altered(path, good, bad)
        header, _, path = path.rpartition(" for ")
        if program.endswith(".py"):
            return self.red_of_script(path, text, program, tests)
        laid = []
        if header:
            laid = self.lay_beside(header, text)
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                text = file.read()
        planted = os.path.join(self.folder, program)
        try:
            planted_object = self.compile(path, text, program)
        finally:
            for name in laid:
                os.unlink(name)
        link, direct = self.link_of(program), f".dir/{os.path.basename(path)}.o "
        own = [word for word in link.split() if (word + " ").endswith(direct)]
        if own:
            link = link.replace(own[0], planted_object)
        else:  # before the tests' own objects: of an inline function the linker takes the first
            first = next(word for word in link.split() if word.endswith(".o"))
            link = link.replace(first, f"{planted_object} {first}", 1)
        link = link.replace(f" -o tests/{program} ", f" -o {planted} ")
        subprocess.run(link, shell=True, cwd=self.build, check=True)
        try:
            told = subprocess.run([planted, "--gtest_filter=" + tests], capture_output=True, text=True, timeout=120,
                                  cwd=self.folder, check=False)
        except subprocess.TimeoutExpired:
            return ["does not end"]
        if "Running 0 tests" in told.stdout:
            raise Gone(f"{tests} of {program}")
        failed = [line.split("]")[1].split("(")[0].split(",")[0].strip() for line in told.stdout.splitlines()
                  if line.startswith("[  FAILED  ]") and "." in line]
        if failed or told.returncode == 0:
            return sorted(set(failed))
        begun = [line.split("]")[1].strip() for line in told.stdout.splitlines() if line.startswith("[ RUN")]
        return [f"{begun[-1] if begun else program} ended by {told.returncode}"]


def run(build, folder, faults, at_once=1):
    """Plants each (name, path, good, bad, program, tests), some of them `at_once`, and tells what came of it; how many
    no test noticed."""
    local, green = threading.local(), 0

    def plant(fault):
        if not hasattr(local, "planter"):
            local.planter = Planter(build, tempfile.mkdtemp(dir=folder))
        name, *what = fault
        try:
            return name, local.planter.red(*what)
        except Gone as gone:
            return name, gone

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for name, found in pool.map(plant, faults):
            if isinstance(found, Gone):
                print(f"GONE   {name}: {found} has changed, plant it anew", flush=True)
                green += 1
                continue
            shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            print(f"{'red   ' if found else 'GREEN '} {name}: {shown or 'no test fails'}", flush=True)
            green += not found
    print(f"{len(faults) - green} passed, {green} failed")
    return green
