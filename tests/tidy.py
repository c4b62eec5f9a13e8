#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Style that a machine can check: sizes, banned calls with their replacement, links, purity of cores, SPDX lines."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_MAX = 600
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


def main():
    found = [problem for name in tracked() for problem in problems_of(name)]
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
