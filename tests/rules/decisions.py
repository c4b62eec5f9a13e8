# SPDX-License-Identifier: Apache-2.0
"""What keeps a blink, an orderly stop and a blade that is back from being taken for a death, taken out one by one. The
names are those of the promises in docs/SPECIFICATION.md."""
CONTROL, CORE = "control_core_test", "control-server/core/"
MONITOR, VERDICT, TAKEOVER = CORE + "monitoring_unit.cpp", CORE + "role_verdict.cpp", CORE + "role_takeover.cpp"
BOOK, VOTES, GIVE_BACK = CORE + "blade_book.cpp", CORE + "votes.cpp", CORE + "role_give_back.cpp"
FAULTS = [
    ("P550: who is heard again is a witness at once", MONITOR, "blade.waver.last().value_or(spoke) <= spoke", "true",
     CONTROL, "Blink*"),
    ("P550: voices need not be steady", MONITOR, "around.witness = heard && !steady;", "around.witness = heard;",
     CONTROL, "Blink*"),
    ("P550: an echo that is answered again proves at once", CORE + "witnesses.cpp",
     "*voice.answered_since <= ours - bench.window", "true", CONTROL, "Witnesses*:Blink*"),
]
