# SPDX-License-Identifier: Apache-2.0
"""Google Benchmark's JSON -> the report, and the report -> a table of at most 100 columns. Pure.

A benchmark's name is OPERATION/PEER/RECORDS; each of its repetitions is one value, and a figure is their median.
A ratio above 1 means that our own side is better, whatever the unit: as many times as fast, or as small.
"""
import statistics

COLUMNS = 100
# operation: (unit, is more better, what it is)
OPERATIONS = {
    "insert": ("records/s", True, "records put into an empty table, each committed by itself"),
    "insert_many": ("records/s", True, "the same, {batch} with one call"),
    "update": ("records/s", True, "random records changed, each committed by itself"),
    "update_many": ("records/s", True, "the same, {batch} with one call"),
    "update_batched": ("records/s", True, "random records changed, {batch} in a transaction"),
    "churn": ("records/s", True, "a record erased and a new key put, each committed by itself, at constant size"),
    "get": ("records/s", True, "random records read one by one"),
    "get_batched": ("records/s", True, "random records read, {batch} with one call"),
    "scan": ("records/s", True, "every record read"),
    "attach": ("us", False, "opened, and one record read"),
    "journal_read": ("bytes/s", True, "the journal read as replication's sender does"),
    "memory": ("bytes/record", False, "memory of the records with the empty places between them"),
    "mapping": ("bytes/record", False, "memory of the whole mapping, a power of two with its journal"),
    "replicate": ("bytes/s", True, "journal bytes from one region to another over loopback TCP"),
    "replicate_changes": ("changes/s", True, "the same in changes"),
    "replicate_sized": ("bytes/s", True, "the same at sizes of values, from 4 KiB on blobs"),
    "replicate_tls": ("bytes/s", True, "the same with TLS 1.3 at both ends"),
    "sender_cpu": ("ns", False, "processor time of the sending thread for a change"),
    "receiver_cpu": ("ns", False, "processor time of the receiving thread for a change"),
    "capture": ("us", False, "processor time outside the kernel for a conntrack event, until its record is committed"),
    "capture_total": ("us", False, "the same with the kernel's part"),
}
OWN = {"region", "replication", "collector"}
# (operation, records or None for any number, least or most)
TARGETS = [
    ("insert", 10_000_000, 11e6), ("update", 10_000_000, 8e6), ("get", 10_000_000, 10e6),
    ("get_batched", 10_000_000, 30e6), ("attach", 10_000_000, 100), ("capture", None, 2),
]
RATIO_TARGETS = [("replicate", "raw_tcp", 0.7), ("replicate_sized", "raw_tcp", 0.7),
                 ("replicate_tls", "raw_tls", 0.7)]
# Their columns are not records of a table but bytes of a value.
SIZED = {"replicate_sized", "replicate_tls", "sender_cpu", "receiver_cpu"}
LINE_BYTES_S = 10e9 / 8 * 1448 / 1538  # what TCP carries over 10 Gbit/s of Ethernet in frames of 1500 bytes
SCALES = {"records/s": (1e6, "M"), "changes/s": (1e6, "M"), "bytes/s": (1e6, "MB"), "us": (1, "us"), "ns": (1, "ns"),
          "bytes/record": (1, "B")}
BIGGER = {10_000: "10 k", 100_000: "100 k", 1_000_000: "1 M", 10_000_000: "10 M"}


def count_name(records):
    if records in BIGGER:
        return BIGGER[records]
    for scale, letter in ((1_000_000, "M"), (1000, "k")):
        if records >= scale and records % scale == 0:
            return f"{records // scale} {letter}"
    return str(records)


def column_name(operation, number_of):
    if operation not in SIZED:
        return count_name(number_of)
    return f"{number_of // 1024} KiB" if number_of % 1024 == 0 else f"{number_of} B"


def column_title(operation, number_of):
    return column_name(operation, number_of) + ("" if operation in SIZED else " records")


def values_of(benchmarks):
    """{(operation, peer, records): {"values": [...], "bounded": bool}} and the errors."""
    found, errors = {}, []

    def add(key, value, bounded=False):
        one = found.setdefault(key, {"values": [], "bounded": False})
        one["values"].append(value)
        one["bounded"] |= bounded

    for one in benchmarks:
        if one.get("run_type") == "aggregate":
            continue
        operation, peer, records = one["name"].split("/")[:3]
        key = (operation, peer, int(records))
        if one.get("error_occurred"):
            errors.append(f"{operation} of {peer} with {column_title(operation, key[2])}: {one['error_message']}")
            continue
        bounded = bool(one.get("bounded"))
        unit = OPERATIONS[operation][0]
        if operation == "replicate_sized" and peer == "replication":
            add((operation, "ten_gbit_line", key[2]), LINE_BYTES_S)
        add(key, in_us(one) if unit == "us" else one["items_per_second"], bounded)
        if "total_us" in one:
            add(("capture_total", *key[1:]), one["total_us"])
        if "bytes_per_record" in one:
            add(("memory", *key[1:]), one["bytes_per_record"])
        if one.get("mapping_bytes_per_record"):
            add(("mapping", *key[1:]), one["mapping_bytes_per_record"])
        for counter, name in (("sender_ns", "sender_cpu"), ("receiver_ns", "receiver_cpu")):
            if counter in one:
                add((name, *key[1:]), one[counter])
        if "changes_per_second" in one and operation not in SIZED:
            add(("replicate_changes", *key[1:]), one["changes_per_second"])
    return found, list(dict.fromkeys(errors))


def in_us(one):
    return one["real_time"] * {"ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}[one["time_unit"]]


def figure(key, one):
    operation, peer, records = key
    values = one["values"]
    return {"operation": operation, "peer": peer, "records": records, "unit": OPERATIONS[operation][0],
            "median": statistics.median(values), "least": min(values), "most": max(values),
            "repetitions": len(values), "bounded": one["bounded"], "ratio": None}


def with_ratios(figures):
    own = {(one["operation"], one["records"]): one["median"] for one in figures if one["peer"] in OWN}
    for one in figures:
        mine = own.get((one["operation"], one["records"]))
        if mine and one["median"] and one["peer"] not in OWN:
            more_is_better = OPERATIONS[one["operation"]][1]
            one["ratio"] = mine / one["median"] if more_is_better else one["median"] / mine
    return figures


def targets(figures):
    result = []
    for operation, records, bound in TARGETS:
        more_is_better = OPERATIONS[operation][1]
        result += [{"operation": operation, "records": one["records"], "against": None, "unit": one["unit"],
                    "bound": bound, "reached": one["median"],
                    "met": one["median"] >= bound if more_is_better else one["median"] <= bound}
                   for one in figures if one["operation"] == operation and one["peer"] in OWN
                   and records in (None, one["records"])]
    for operation, peer, bound in RATIO_TARGETS:
        result += [{"operation": operation, "records": one["records"], "against": peer, "unit": "ratio",
                    "bound": bound, "reached": one["ratio"], "met": one["ratio"] >= bound}
                   for one in figures if one["operation"] == operation and one["peer"] == peer and one["ratio"]]
    return result


def build(what, raw, machine, notes):
    """`raw`: Google Benchmark's JSON; `machine`: what it ran on; `notes`: sentences that belong to the figures."""
    found, errors = values_of(raw["benchmarks"])
    figures = with_ratios([figure(key, one) for key, one in found.items()])
    settings = {key: number(value) for key, value in raw["context"].items() if key in SETTINGS}
    return {"what": what, "machine": machine, "settings": settings, "figures": figures,
            "targets": targets(figures), "notes": notes, "errors": errors}


SETTINGS = ("key_bytes", "value_bytes", "batch", "picks", "budget_s", "changes")


def number(text):
    return float(text) if "." in text else int(text)


def digits(value):
    """Three of them."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def spread(rows):
    """Half the distance between the least and the most, of the median, in percent; the worst of the rows."""
    return max(50 * (one["most"] - one["least"]) / one["median"] for one in rows)


def show_operation(operation, figures, settings):
    unit, more_is_better, text = OPERATIONS[operation]
    scale, letter = SCALES[unit]
    mine = [one for one in figures if one["operation"] == operation]
    sizes = sorted({one["records"] for one in mine})
    peers = list(dict.fromkeys(one["peer"] for one in mine))
    per = {"records/s": " a second", "changes/s": " a second", "bytes/s": " a second", "bytes/record": " a record"}
    yield f"{operation}: {text.format(**{'batch': '?', **settings})} ({letter}{per.get(unit, '')})"
    yield "".join([" " * 16, *(f"{column_name(operation, size):>16}" for size in sizes), f"{'spread':>12}"])
    for peer in peers:
        row = {one["records"]: one for one in mine if one["peer"] == peer}
        cells = []
        for size in sizes:
            one = row.get(size)
            if one is None:
                cells.append(f"{'-':>16}")
                continue
            ratio = "" if one["ratio"] is None else "x" + digits(one["ratio"])
            cells.append(f"{digits(one['median'] / scale):>7}{'*' if one['bounded'] else ' '} {ratio:<7}")
        yield f"  {peer:<14}" + "".join(cells) + f"{'+-' + format(spread(row.values()), '.0f') + ' %':>12}"


def show_target(one):
    scale, letter = SCALES.get(one["unit"], (1, ""))
    bound, reached = (digits(one[key] / scale) + (f" {letter}" if letter else "") for key in ("bound", "reached"))
    more = one["against"] is not None or OPERATIONS[one["operation"]][1]
    against = f" of {one['against']}" if one["against"] else ""
    at = column_name(one["operation"], one["records"])
    return (f"  {one['operation']} at {at}: {'at least' if more else 'at most'} {bound}{against}; "
            f"reached {reached}: {'met' if one['met'] else 'MISSED'}")


def wrap(text, indent):
    line = ""
    for word in text.split():
        if line and len(indent) + len(line) + 1 + len(word) > COLUMNS:
            yield indent + line
            line = ""
        line = f"{line} {word}" if line else word
    yield indent + line


def show(report):
    """Lines."""
    machine = report["machine"]
    yield from wrap(f"{machine['cpu']}, {machine['cores']} cores{', virtual' if machine['virtual'] else ''}, "
                    f"Linux {machine['kernel']}; medians; xN: our own side is N times as good as this peer", "")
    operations = list(dict.fromkeys(one["operation"] for one in report["figures"]))
    for operation in sorted(operations, key=list(OPERATIONS).index):
        yield ""
        yield from show_operation(operation, report["figures"], report["settings"])
    if any(one["bounded"] for one in report["figures"]):
        yield ""
        yield f"* ended after {report['settings'].get('budget_s', '?')} s, before all picks were done"
    if report["targets"]:
        yield ""
        yield "targets"
        yield from map(show_target, report["targets"])
    for title in ("notes", "errors"):
        if report[title]:
            yield ""
            yield title
            for sentence in report[title]:
                yield from wrap(sentence, "  ")
