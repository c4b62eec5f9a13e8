# SPDX-License-Identifier: Apache-2.0
"""`./dev bench region`, `replication` and `capture`: run, table, JSON."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile

from understudy_demo import schema
from understudy_lab.errors import LabError
from understudy_lab.interrupts import Interrupted, with_signals_raised
from understudy_lab.options import Parser, number

from . import machine, report

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
SIZES = [10_000, 100_000, 1_000_000, 10_000_000]
QUICK_SIZES = [10_000, 100_000]
REPLICATION_SIZES = [10_000, 1_000_000]
PEERS = ["region", "region_huge", "flat_map", "interprocess", "lmdb", "redis"]


def sizes(text):
    scale = {"k": 1000, "M": 1_000_000}
    read = number(int, 1000, 50_000_000)
    return [read(str(int(word[:-1]) * scale[word[-1]])) if word[:-1].isdigit() and word[-1:] in scale else read(word)
            for word in text.split(",")]


def names(text):
    chosen = text.split(",")
    if unknown := set(chosen) - set(PEERS):
        raise ValueError(unknown)
    return chosen


def parser():
    top = Parser(prog="./dev bench",
                 description="Speed, with peers in the same run. How to read it: docs/BENCHMARKS.md")
    kinds = top.add_subparsers(dest="what", required=True, metavar="region|replication|capture")
    region = kinds.add_parser("region", prog="./dev bench region",
                              help="the region beside a map in memory (the limit), LMDB, Boost.Interprocess and Redis")
    common(region)
    region.add_argument("--sizes", type=sizes, metavar="N,...", help="records (default: 10k,100k,1M,10M)")
    region.add_argument("--key-bytes", type=int, choices=(8, 16), default=8, help="default: 8")
    region.add_argument("--peers", type=names, metavar="NAME,...", help=f"only these of {','.join(PEERS)}")
    region.add_argument("--budget-s", type=number(float, 0.01, 600),
                        help="the most that a measurement takes (default: 1)")
    replication = kinds.add_parser("replication", prog="./dev bench replication",
                                   help="a sender and a receiver over loopback beside raw TCP")
    common(replication)
    capture = kinds.add_parser("capture", prog="./dev bench capture",
                               help="what an event of conntrack costs; needs root")
    common(capture)
    replication.add_argument("--sizes", type=sizes, metavar="N,...", help="records of the table (default: 10k,1M)")
    return top


def common(kind):
    kind.add_argument("--json", metavar="FILE", help="write the report (format: bench/report.schema.json)")
    kind.add_argument("--raw", metavar="FILE", help="write what Google Benchmark wrote")
    kind.add_argument("--quick", action="store_true", help="under a minute: less of everything, figures are rough")
    kind.add_argument("--repetitions", type=number(int, 1, 100), help="of which the median is told (default: 5)")


def check(options):
    for name in ("json", "raw"):
        if path := getattr(options, name):
            directory = os.path.dirname(os.path.abspath(path))
            if not os.access(directory, os.W_OK):
                raise LabError(f"--{name}: cannot write into {directory}", 2)


def program(name):
    path = os.path.join(os.environ.get("UNDERSTUDY_BUILD", "build/release"), "bin", name)
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is not there: ./dev bench builds it", 2)
    return path


def wanted(options, peer):
    return not options.peers or peer in options.peers


def region_words(options, directory, resources, notes):
    """The program's command line; what of the machine is missing becomes a note."""
    words = [program("understudy_bench_region"), "--sizes", ",".join(map(str, options.sizes)),
             "--key-bytes", str(options.key_bytes), "--repetitions", str(options.repetitions),
             "--budget-s", str(options.budget_s), "--picks", str(options.picks), "--directory", directory]
    if options.peers:
        words += ["--peers", ",".join(options.peers)]
    for peer, option, resource in (("redis", "--redis-socket", lambda: machine.redis(directory)),
                                   ("region_huge", "--huge-directory",
                                    lambda: machine.huge_pages(directory))):
        if not wanted(options, peer):
            continue
        path, reason = resources.enter_context(resource())
        if path:
            words += [option, path]
        else:
            notes.append(reason)
    return words


def replication_words(options, directory):
    return [program("understudy_bench_replication"), "--sizes", ",".join(map(str, options.sizes)), "--repetitions",
            str(options.repetitions), "--changes", str(options.changes), "--directory", directory]


def capture_words(options, directory):
    if os.geteuid() != 0:
        raise LabError("capture needs root for a network namespace of its own", 2)
    return [program("understudy_bench_capture"), "--flows", str(options.flows), "--repetitions",
            str(options.repetitions), "--directory", directory]


CAPTURE_NOTES = [
    "New flows are put into the kernel of a namespace of its own; their events wait in the collector's socket and are "
    "then collected in one go: decoded, looked up, journalled and committed in a region.",
    "The kernel tells the user's part of a thread's time from its ticks: a sample, not a count.",
]
REPLICATION_NOTES = [
    "Plain text on both sides, but for replicate_tls: there both speak TLS 1.3 with ChaCha20-Poly1305. A backlog of "
    "committed changes is sent; the time ends when the last one is acknowledged, which means that it was checked and "
    "lies in the mirror's table.",
    "Loopback carries more than a maintenance network does (1 Gbit/s: 125 MB/s, 10 Gbit/s: 1250 MB/s), so the ratio is "
    "the worst case: what binds is the receiver's work on its table, not the path. ten_gbit_line is what TCP carries "
    "over 10 Gbit/s of Ethernet, computed.",
]


def region_notes(options):
    notes = ["flat_map is the limit: a map in one process's memory; no journal, no readers, gone with its process.",
             "lmdb: MDB_NOSYNC | MDB_WRITEMAP on a file in memory; inserts are in transactions of 64.",
             "redis: over a Unix socket, nothing on disk; inserts are in pipelines of 64, update and get wait for each "
             "answer, a batched get is an MGET of 64 keys. Its server runs on another core."]
    if any(size >= 1_000_000 for size in options.sizes):
        notes.append("lmdb and redis are filled once where there are a million records or more: no spread there.")
    return notes


def run(words, progress):
    """Google Benchmark's JSON. The program ends with us, whatever ends us."""
    out = progress.raw_path
    with tempfile.TemporaryFile("w+") as told:  # what Google Benchmark says of the machine; asked for when it fails
        child = subprocess.Popen([*words, f"--benchmark_out={out}", "--benchmark_out_format=json"], text=True,
                                 stdout=subprocess.PIPE, stderr=told)
        try:
            for line in child.stdout:
                progress.line(line)
            if child.wait() != 0:
                told.seek(0)
                raise LabError(f"{os.path.basename(words[0])} ended with {child.returncode}\n{told.read().strip()}")
        finally:
            machine.end(child)
    with open(out, encoding="utf-8") as file:
        return json.load(file)


class Progress:
    """One line for each operation and size as it begins."""

    def __init__(self, raw_path):
        self.raw_path, self.last = raw_path, None

    def line(self, text):
        words = text.split("/")
        if len(words) < 3 or not words[2].isdigit() or (words[0], words[2]) == self.last:
            return
        self.last = (words[0], words[2])
        print(f"bench: {words[0]}, {report.column_title(words[0], int(words[2]))}", file=sys.stderr, flush=True)


def defaults(options):
    options.repetitions = options.repetitions or (3 if options.quick else 5)
    if options.what == "replication":
        options.sizes = options.sizes or REPLICATION_SIZES
        options.changes = 200_000 if options.quick else 2_000_000
    elif options.what == "capture":
        options.flows = 10_000 if options.quick else 40_000
    else:
        options.picks = 300_000 if options.quick else 2_000_000
        options.sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
        options.budget_s = options.budget_s or (0.2 if options.quick else 1)


def measure(options):
    described = machine.describe()
    with contextlib.ExitStack() as resources:
        directory = resources.enter_context(machine.directory_in_memory())
        if options.what == "region":
            notes = region_notes(options)
            words = region_words(options, directory, resources, notes)
        elif options.what == "capture":
            notes, words = list(CAPTURE_NOTES), capture_words(options, directory)
        else:
            notes, words = list(REPLICATION_NOTES), replication_words(options, directory)
        raw_path = os.path.abspath(options.raw) if options.raw else os.path.join(directory, "raw.json")
        raw = run(words, Progress(raw_path))
    if options.quick:
        notes.append("--quick: less of everything, these figures are rough.")
    return report.build(options.what, raw, described, notes)


def write(path, content):
    if wrong := schema.problems(content, schema_of_report()):
        raise LabError("the report does not follow its schema: " + "; ".join(wrong))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def schema_of_report():
    with open(os.path.join(HERE, "report.schema.json"), encoding="utf-8") as file:
        return json.load(file)


def main(arguments):
    options = parser().parse_args(arguments)
    with_signals_raised()
    try:
        check(options)
        defaults(options)
        built = measure(options)
        if options.json:
            write(options.json, built)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.status
    except Interrupted as interrupted:
        print(f"bench: {interrupted}", file=sys.stderr)
        return interrupted.status
    print("\n".join(report.show(built)))
    return 1 if built["errors"] else 0
