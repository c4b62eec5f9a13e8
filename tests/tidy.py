#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Style that a machine can check: sizes, banned calls with their replacement, links, purity of cores, SPDX lines,
that every source file has a test, and that tests which documents name are there."""

import fnmatch
import pathlib
import re
import subprocess
import sys

import design_tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_MAX = 600
SPECIFICATION = "docs/SPECIFICATION.md"
TEST_MACRO = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)")
COLUMNS_MAX = 120

# (pattern, where it applies, what to use instead)
BANNED = [
    (r"\b(steady_clock|system_clock)::now", r"/core/", "take the Instant as an argument"),
    (r"#include <(thread|mutex|fstream|sys/|unistd|boost|spdlog)", r"/core/", "a core has no IO, threads or libraries"),
    (r"\b(sleep_for|usleep)\s*\(", r"^tests/(?!support/).*pp$", "tests/support/eventually.hpp"),
    (r"\btime\.sleep\(", r"^tests/.*\.py$", "wait for the condition with a deadline"),
    (r"\b(pkill|killall)\b", r"^(?!tests/tidy\.py)", "end processes by their id"),
    (r"\bstrcpy\(|\bsprintf\(|\bgets\(", r"\.(cpp|hpp|c|h)$", "bounded calls"),
    (r"\b(FIXME|XXX)\b", r"^(?!tests/tidy\.py)", "finish it or write it into the closing note"),
]
# A test that stands for sources of other names says so in its head: "Covers: link/src/a.cpp, link/src/b.cpp".
COVERS = re.compile(r"^(?://|#|\"\"\").*\bCovers:(.*)$")
COVERS_WITHIN_LINES = 40
# Where tests lie that are given what a guest, a peer or another program may have written.
# Not so what runs inside gRPC, which no sanitizer has built: what comes out of it is read by control_api_convert_test.
WITHIN_GRPC = ("control_api_loopback_test",)
FOREIGN_BYTES = ("unit/shared-mem", "unit/link", "unit/net-state", "crash", "hostile", "fuzz")
NEEDS_SPDX = re.compile(r"\.(cpp|hpp|c|h|proto)$")


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return listed.stdout.split()


def problems_of(name):
    path = ROOT / name
    try:
        text = path.read_text()
    except (UnicodeDecodeError, IsADirectoryError, FileNotFoundError):
        return
    lines = text.splitlines()
    is_code = re.search(r"\.(cpp|hpp|c|h|py)$", name)
    if is_code and len(lines) > LINES_MAX:
        yield f"{name}: {len(lines)} lines; split it at a second idea (at most {LINES_MAX})"
    if NEEDS_SPDX.search(name) and "SPDX-License-Identifier:" not in "\n".join(lines[:3]):
        yield f"{name}:1: no SPDX line"
    for number, line in enumerate(lines, 1):
        if is_code and len(line) > COLUMNS_MAX:
            yield f"{name}:{number}: {len(line)} columns (at most {COLUMNS_MAX})"
        for pattern, where, instead in BANNED:
            if re.search(where, name) and re.search(pattern, line):
                yield f"{name}:{number}: banned: {line.strip()[:60]}; {instead}"
    if name.endswith(".md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            if not (path.parent / target).exists():
                yield f"{name}: broken link {target}"


def covered_by(test):
    """(line, source) for each source that the head of a test names; a line that ends with colon or comma goes on."""
    going_on = False
    for number, line in enumerate((ROOT / test).read_text().splitlines()[:COVERS_WITHIN_LINES], 1):
        begins = COVERS.match(line)
        if not begins and not going_on:
            continue
        names = begins.group(1) if begins else line.lstrip("/# ")
        yield from ((number, source.strip().rstrip('."')) for source in names.split(",") if source.strip())
        going_on = not names.strip() or names.rstrip().endswith(",")


def test_stands_for(test, sources_of_part):
    """The source whose name a test's name begins with: agent_channel_test is agent_channel.cpp's, not agent.cpp's."""
    stem = pathlib.PurePath(test).stem.removesuffix("_test")
    named = [path for path in map(pathlib.PurePath, sources_of_part) if (stem + "_").startswith(path.stem + "_")]
    longest = max((len(path.stem) for path in named), default=0)
    named = [path for path in named if len(path.stem) == longest]
    # Of several of one name it is the one in a folder of the test's name, else the one that lies highest.
    beside = [path for path in named if path.parent.name == pathlib.PurePath(test).parent.name]
    return {str(path) for path in beside or sorted(named, key=lambda path: len(path.parts))[:1]}


def untested(names):
    """At least one test for each source file, in a tree that mirrors the sources (or named by a Covers line)."""
    sources = [name for name in names if name.endswith(".cpp") and not name.startswith("tests/")]
    sources = [name for name in sources if pathlib.PurePath(name).name != "main.cpp"]
    tested = set()
    for test in (name for name in names if re.match(r"tests/.*_test\.(cpp|py)$", name) and (ROOT / name).exists()):
        part = "/".join(test.split("/")[2:3])
        if re.match(r"tests/(unit|integration)/.*\.cpp$", test):
            tested |= test_stands_for(test, [source for source in sources if source.startswith(part + "/")])
        for number, source in covered_by(test):
            tested.add(source)
            if source not in sources:
                yield f"{test}:{number}: covers {source}, which is no source file of the product"
    for source in sources:
        if source not in tested and (ROOT / source).exists():
            part, stem = source.split("/")[0], pathlib.PurePath(source).stem
            yield f"{source}: no test; write tests/unit/{part}/{stem}_test.cpp, or tell who tests it by a Covers: line"


def promised_by_nobody(names):
    """A promise whose test is not there any more, or never was."""
    tests = set()
    for name in names:
        if re.match(r"tests/.*\.cpp$", name) and (ROOT / name).exists():
            tests |= {".".join(found) for found in TEST_MACRO.findall((ROOT / name).read_text())}
    for number, line in enumerate((ROOT / SPECIFICATION).read_text().splitlines(), 1):
        for named in re.findall(r"`([A-Z]\w*(?:\.\w+\*?|\*|\.\*))`", line):
            if not fnmatch.filter(tests, named if named.endswith("*") or "." in named else named + ".*"):
                yield f"{SPECIFICATION}:{number}: there is no test {named}"


def unsanitized():
    """Programs whose tests the bytes of a region or of a wire reach, and that ./dev test --sanitize does not run."""
    listed = re.search(r"^sanitized=\(([^)]*)\)", (ROOT / "dev").read_text(), re.MULTILINE).group(1).split()
    for folder in (ROOT / "tests" / name for name in FOREIGN_BYTES):
        for name in (*folder.glob("CMakeLists.txt"), *folder.glob("*.cmake")):
            for program in re.findall(r"^understudy_test\((\w+) LABELS unit\b", name.read_text(), re.MULTILINE):
                if program not in listed and program not in WITHIN_GRPC:
                    yield f"{name.relative_to(ROOT)}: {program} is not in the list `sanitized` of ./dev"


def main():
    names = tracked()
    found = [problem for name in names for problem in problems_of(name)]
    found += untested(names)
    found += promised_by_nobody(names)
    found += unsanitized()
    found += design_tables.problems(ROOT, names, TEST_MACRO)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
