# SPDX-License-Identifier: Apache-2.0
"""The tables of shared-mem/DESIGN.md that name tests: no row is without one, and each that is named is there.

Named are, in backticks: Suite.Test, a Suite, a Test of any suite, Suite/Parameter (`.../Parameter`: of the suite named
last), or a file or folder of tests/.
"""

import fnmatch
import re

DESIGN = "shared-mem/DESIGN.md"
HEADINGS = ("## Frozen here", "## Where it is shown")
NAME = re.compile(r"`([^`]+)`")


def rows(lines):
    """(heading, line number, cells) of each row of the tables below the headings."""
    heading, heads_left = None, 0
    for number, line in enumerate(lines, 1):
        if line.startswith("## "):
            heading, heads_left = next((one for one in HEADINGS if line.startswith(one)), None), 2
        elif heading and line.startswith("|"):
            heads_left -= 1
            if heads_left < 0:
                yield heading, number, [cell.strip() for cell in line.strip().strip("|").split("|")]


def is_there(name, texts, tests, suites):
    """Is it a test, a suite, a suite with that parameter, or a file?"""
    if name.startswith("tests/"):
        return any(path == name or path.startswith(name.rstrip("/") + "/") for path in texts)
    if "/" in name:
        suite, parameter = name.rsplit("/", 1)
        return any(suite in suites.get(path, ()) and f'"{parameter}"' in text for path, text in texts.items())
    if "." in name:
        return bool(fnmatch.filter(tests, name))
    return any(name in test.split(".") for test in tests)


def problems(root, names, test_macro):
    """Texts of every test by path, then each row's last cell held against them."""
    texts = {name: (root / name).read_text(errors="replace") for name in names
             if name.startswith("tests/") and (root / name).is_file()}
    found = {name: test_macro.findall(text) for name, text in texts.items() if name.endswith(".cpp")}
    tests = {".".join(test) for of_file in found.values() for test in of_file}
    suites = {name: {suite for suite, _ in of_file} for name, of_file in found.items()}
    tables = list(rows((root / DESIGN).read_text().splitlines()))
    for heading in set(HEADINGS) - {heading for heading, _, _ in tables}:
        yield f"{DESIGN}: there is no table below \"{heading}\""
    suite = ""
    for _, number, cells in tables:
        named = NAME.findall(cells[-1])
        if not named:
            yield f"{DESIGN}:{number}: no test is named for \"{cells[0][:60]}\""
        for name in named:
            full = suite + name.removeprefix("...") if name.startswith(".../") else name
            if "/" in full and not full.startswith("tests/"):
                suite = full.rsplit("/", 1)[0]
            if not is_there(full, texts, tests, suites):
                yield f"{DESIGN}:{number}: there is no test {full}"
