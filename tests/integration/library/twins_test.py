#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""C++ and C have the same abilities: every public function of the installed C++ headers has its twin in C, or is in the
list of those that only agents use (understudy.h); every C function has its twin, and a comment."""

import pathlib
import re
import unittest

INCLUDE = pathlib.Path(__file__).resolve().parents[3] / "shared-mem/include/understudy"
CPP = ("shm/region.hpp", "shm/arena.hpp", "app/lifecycle.hpp", "app/commit_mirrored.hpp")

PREFIX = {"Region": "region", "Store": "store", "StoreWriter": "writer", "JournalReader": "journal", "Arena": "arena",
          "Lifecycle": "lifecycle"}
# Where the C name is not the class's prefix and the C++ name. Nothing: in C there is no need of it.
SPELLED = {
    "Region::create": ["region_create", "region_create_at"],
    "Region::open": ["region_open", "region_open_fd", "region_open_wanted", "region_open_memory"],
    "Region::format": ["region_format_fd", "region_format_memory"],
    "Region::inspect": ["region_inspect", "region_inspect_memory"],
    "Region::store": ["store_open"],
    "Store::schema": ["store_schema_of"],
    "Store::table": ["store_table", "store_table_sized"],  # TypedTable compares sizes in C++
    "Store::scan": ["store_scan", "store_scan_between"],
    "StoreWriter::put": ["writer_put", "writer_put_blob"],
    "StoreWriter::store": [],  # the handle that it was made of
    "JournalReader::read": ["journal_read"],
    "Arena::attach": ["arena_attach", "arena_attach_mixed"],
    "Arena::empty": ["arena_is_empty"],
    "Lifecycle::from_environment": ["lifecycle_open"],
    "CommitMirrored::check": ["store_commit_mirrored"],
    "CommitMirrored::sequence": [],  # the caller's own argument
    "commit_mirrored": ["store_commit_mirrored_wait"],
    "describe": ["last_error"],
    "for_each_entry": ["journal_read"],
    "to_string": ["region_state_name", "duty_name"],
    "with_arena": ["arena_table"],
    "arena_journal_bytes": ["arena_journal_bytes"],
    "as_bytes_of": [],  # every object is bytes
    "check_is_record": [],
}
# Constructors and destructors, which the C++ lists below leave out.
LIFE = {"region_close", "store_close", "writer_close", "arena_close", "journal_open", "journal_close",
        "lifecycle_close"}


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def declared(text):
    """Names of the functions that are declared at the top of `text`."""
    while re.search(r"\{[^{}]*\}", text):
        text = re.sub(r"\{[^{}]*\}", ";", text)
    names = set()
    for statement in text.split(";"):
        statement = re.sub(r"\s:\s.*", "", statement, flags=re.DOTALL)  # a constructor's initializers
        statement = re.sub(r"static_assert\(.*", "", statement, flags=re.DOTALL)
        found = re.search(r"([~\w]+)\s*\(", statement)
        if found:
            names.add(found[1])
    return names


def cpp_functions(texts):
    functions = set()
    for text in map(without_comments, texts):
        for name, body in re.findall(r"^class (\w+) \{(.*?)^\};", text, re.DOTALL | re.MULTILINE):
            public = "".join(re.findall(r"public:(.*?)(?=private:|\Z)", body, re.DOTALL))
            public = re.sub(r"^  (?:struct|enum class) \w+[^;]*?\{.*?^  \};", "", public,
                            flags=re.DOTALL | re.MULTILINE)
            functions |= {f"{name}::{function}" for function in declared(public)
                          if function.lstrip("~") != name and function != "operator"
                          and not function.startswith("operator")}
        text = re.sub(r"^(?:struct|enum class) \w+[^\n]*\{[^\n]*\};$", "", text, flags=re.MULTILINE)
        free = re.sub(r"^(?:class|struct|enum class) \w+[^;]*?\{.*?^\};", "", text, flags=re.DOTALL | re.MULTILINE)
        free = re.sub(r"^namespace [\w:]+ \{|^#.*$|^\}  *$", "", free, flags=re.MULTILINE)
        functions |= declared(free)
    return functions


def c_functions(texts):
    return {name for text in map(without_comments, texts) for name in re.findall(r"\bunderstudy_(\w+)\(", text)}


def twins(function):
    if function in SPELLED:
        return SPELLED[function]
    kind, _, name = function.rpartition("::")
    return [f"{PREFIX[kind]}_{name}"] if kind in PREFIX else [name]


def differences(cpp, c, agents):
    for function in sorted(agents - cpp):
        yield f"{function} is said to be for agents and is no C++ function"
    for function in sorted(cpp):
        missing = [twin for twin in twins(function) if twin not in c]
        if function in agents and len(missing) < len(twins(function)):
            yield f"{function} is said to be for agents only, and C has it"
        if function not in agents and missing:
            yield f"{function} of C++ is not in C: understudy_{missing[0]}"
    known = {twin for function in cpp for twin in twins(function)} | LIFE
    for function in sorted(c - known):
        yield f"understudy_{function} of C is not in C++"


def uncommented(text):
    """Functions of a C header without a comment before them or behind them on their line."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        found = re.match(r"[a-z].*?\bunderstudy_(\w+)\(", line)
        if not found or line.startswith(("typedef", "static")):
            continue
        before = lines[number - 1].rstrip()
        if not before.endswith("*/") or before.startswith("/* ") or not before:
            if "/**<" not in line:
                yield found[1]
        elif "/**<" in before:
            if "/**<" not in line:
                yield found[1]


class Twins(unittest.TestCase):
    def setUp(self):
        self.cpp = cpp_functions((INCLUDE / name).read_text() for name in CPP)
        self.headers = {path.name: path.read_text() for path in sorted((INCLUDE / "c").glob("*.h"))}
        self.c = c_functions(self.headers.values())
        listed = re.search(r"only agents, who.*?use it:(.*?)\*/", (INCLUDE / "understudy.h").read_text(), re.DOTALL)
        self.agents = set(re.findall(r"[\w:]{3,}", listed[1]))

    def test_every_function_has_its_twin(self):
        self.assertGreater(len(self.cpp), 70, "the headers are not read any more")
        self.assertEqual(list(differences(self.cpp, self.c, self.agents)), [])

    def test_a_function_that_one_side_lacks_is_noticed(self):
        for missing in ("Store::get", "Lifecycle::connected", "commit_mirrored", "Region::create_new"):
            self.assertIn(missing, self.cpp)
            self.assertTrue(list(differences(self.cpp - {missing}, self.c, self.agents)), missing)
            self.assertTrue(list(differences(self.cpp, self.c - set(twins(missing)), self.agents)), missing)
        self.assertTrue(list(differences(self.cpp, self.c, self.agents - {"StoreWriter::apply"})))
        self.assertTrue(list(differences(self.cpp, self.c, self.agents | {"Store::get"})))

    def test_every_c_function_has_a_comment(self):
        bare = [name for text in self.headers.values() for name in uncommented(text)]
        self.assertEqual(bare, [])
        self.assertEqual(list(uncommented("int understudy_a(void);")), ["a"])
        self.assertEqual(list(uncommented("int understudy_a(void); /**< b */\nint understudy_c(void);")), ["c"])


if __name__ == "__main__":
    unittest.main()
