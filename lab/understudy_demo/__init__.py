# SPDX-License-Identifier: Apache-2.0
"""The demo: a blade is killed and the download goes on.

traffic   starts every client and server, stops them, collects what they saw
events    what the control-server tells, as it happens
memory    which inode a process has mapped: read from /proc, not from anybody's word
measure   gaps, resets, hashes, phases out of the tools' files: pure
schema    a report is checked against report.schema.json before it is written
report    the report and the verdict: pure
timeline  the same for a person
scenario  one run, in order
cli       runs, exit status
"""
