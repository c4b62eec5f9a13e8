# SPDX-License-Identifier: Apache-2.0
"""More clauses of rules 17 to 24: the region, its mirror, its mapping. Faults for sentences that have none in
rules_taken_out.py and clauses.py.

Not here: a file on an nvdimm whose file system is mounted without DAX (rule 24) needs such a device."""
REGION, PREFIX = "shm_test", "shm_prefix_test"
SOURCES = "shared-mem/src/"
FAULTS = [
    ("17: a reader sees what is not committed", SOURCES + "table.hpp for " + SOURCES + "store.cpp",
     "const bool older = seen.sequence() > limit;  // (1)", "const bool older = false;", PREFIX,
     "*EveryPrefixOfAWriter.IsTheState*Fixed"),
    ("18: a large value that was torn is believed", SOURCES + "table.hpp for " + SOURCES + "store.cpp",
     "    if (!words::unchanged(at, seen.word)) { return Seen::Changed; }  // (3)\n", "", REGION,
     "WhileOneWritesLargeValues*"),
    ("20: a writer of an older term is let in", SOURCES + "recovery.cpp", "  if (term < former) {", "  if (false) {",
     REGION, "*"),
    ("22: nothing is swept", SOURCES + "sync.cpp",
     "  for (TableIndex t = 0; impl.snapshot_slots.marking() && t < impl.tables.size(); ++t) "
     "{ impl.sweep_unseen(t); }\n",
     "", REGION, "*"),
    ("24: page cache of a block device is taken", SOURCES + "mapping.cpp", "if (S_ISBLK(info.st_mode)) {",
     "if (false) {",
     REGION, "*"),
]
