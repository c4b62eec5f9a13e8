# SPDX-License-Identifier: Apache-2.0
"""`./dev demo`: runs, report, exit status. The lab is taken down whatever happens, unless --keep."""
import dataclasses
import json
import os
import sys
import time

from understudy_lab import config_files, lab
from understudy_lab.errors import LabError
from understudy_lab.interrupts import Interrupted, with_signals_raised
from understudy_lab.options import Parser, number
from understudy_lab.state import State

from . import report as reports
from . import schema
from .scenario import Scenario
from .timeline import Timeline, show_result


def parser():
    top = Parser(prog="./dev demo",
                                  description="Kill a blade under traffic and watch: takeover by its "
                                  "mirror VM, movement to the standby's host, all guests down, nothing lost.")
    top.add_argument("--actives", type=number(int, 1, 32), default=3, help="active blades (default: 3)")
    top.add_argument("--report", metavar="FILE", help="write the report as JSON (format: lab/report.schema.json)")
    top.add_argument("--runs", type=number(int, 1), default=1, metavar="K",
                     help="repeat; the report gets runs[] and summary")
    top.add_argument("--plain", action="store_true", help="plain text instead of TLS on all wires")
    top.add_argument("--keep", action="store_true",
                     help="leave the lab of the last run up, or of the first that failed")
    top.add_argument("--name", default="demo", help="name of the lab (default: demo)")
    top.add_argument("--baseline-s", type=number(float, 1), default=10, help="undisturbed window before the failure")
    top.add_argument("--after-s", type=number(float, 0), default=3,
                     help="how long traffic goes on after the last phase")
    top.add_argument("--minimum-mb", type=number(float, 1), default=60, help="a transfer is at least this long")
    top.add_argument("--memory", choices=config_files.MEMORIES, default=lab.DEFAULTS["memory"],
                     help="what a region is to its mirror's guest (default: what QEMU has)")
    top.add_argument("--fencing", choices=config_files.FENCINGS, default=lab.DEFAULTS["fencing"],
                     help="how the dead blade is powered off (default: %(default)s)")
    top.add_argument("--bfd-interval-ms", type=number(int, 1, 10_000), default=lab.DEFAULTS["bfd_interval_ms"])
    top.add_argument("--ready-s", type=number(int, 1), default=lab.DEFAULTS["ready_s"],
                     help="how long the group may take to be protected")
    top.add_argument("--movement-s", type=number(int, 1), default=60,
                     help="how long the movement may take to begin and end")
    return top


def check(options):
    if options.report:
        directory = os.path.dirname(os.path.abspath(options.report))
        if not os.access(directory, os.W_OK):
            raise LabError(f"--report: cannot write into {directory}", 2)


def write_report(path, content):
    if wrong := schema.problems(content, schema.load()):
        raise LabError("the report does not follow its schema: " + "; ".join(wrong))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def one_run(options, timeline):
    """(report, what is not as promised). A broken run keeps its logs."""
    scenario = Scenario(options, timeline)
    try:
        seen = scenario.run()
        report = reports.build(scenario.chassis, seen)
        wrong = reports.verdict(report, dataclasses.asdict(seen))
        show_result(timeline, report, seen, wrong)
        if wrong:
            timeline.plain(f"logs and captures are kept in {lab.keep_logs(scenario.state)}")
        return report, wrong
    except BaseException:
        if scenario.state and scenario.state.exists:
            timeline.plain(f"logs are kept in {lab.keep_logs(scenario.state)}")
        raise
    finally:
        if scenario.stream:
            scenario.stream.close()


def main(arguments):
    options = parser().parse_args(arguments)
    with_signals_raised()
    try:
        check(options)
        return run_all(options, Timeline())
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.status
    except Interrupted as interrupted:
        print(f"demo: {interrupted}", file=sys.stderr)
        return interrupted.status


def run_in_lab(options, timeline, last):
    """One run in a lab of its own, which is taken down unless it is to be kept."""
    mine, keep = not State(options.name).exists, False
    try:
        report, wrong = one_run(options, timeline)
        keep = options.keep and (last or bool(wrong))
        return report, wrong
    except Exception as error:
        mine = mine and not nothing_was_started(error)
        keep = options.keep
        raise
    finally:
        if mine and keep and State(options.name).exists:
            timeline.plain(f"the lab stays up: ./dev lab status (or down) --name {options.name}")
        elif mine:
            lab.down(options.name)


def nothing_was_started(error):
    return isinstance(error, LabError) and error.status == 2


def run_all(options, timeline):
    """Exit status. Whatever ends a run, the report has it and all before it."""
    done, failed = [], 0
    for number in range(1, options.runs + 1):
        if options.runs > 1:
            timeline.plain(f"run {number} of {options.runs}", "bold")
            timeline.zero(time.time_ns())
        try:
            report, wrong = run_in_lab(options, timeline, number == options.runs)
        except BaseException as error:
            if not done and nothing_was_started(error):
                raise
            conclude(options, timeline, done + [reports.failed(error)], failed + 1)
            if nothing_was_started(error):
                raise LabError(str(error)) from None  # earlier runs were: status 1
            raise
        done.append(report)
        failed += bool(wrong)
        if options.runs > 1:
            timeline.plain(reports.line(number, report, wrong), "red" if wrong else "green")
        if failed and options.keep:
            break
    return conclude(options, timeline, done, failed)


def conclude(options, timeline, done, failed):
    content = done[0] if options.runs == 1 else {"runs": done, "summary": reports.summary(done)}
    if options.runs > 1:
        if reports.is_failed(done[-1]):
            timeline.plain(reports.line(len(done), done[-1], []), "red")
        show_summary(timeline, content["summary"], failed)
    if options.report:
        write_report(options.report, content)
        timeline.plain(f"report: {options.report}")
    return 1 if failed else 0


def show_summary(timeline, summary, failed):
    timeline.plain(f"{'ms':22}{'minimum':>12}{'median':>12}{'maximum':>12}", "bold")
    for key, spread in summary.items():
        if spread["median"] is not None:
            timeline.plain(f"  {key:20}{spread['minimum']:12.1f}{spread['median']:12.1f}{spread['maximum']:12.1f}")
    timeline.plain(f"{failed} runs failed" if failed else "every run passed", "red" if failed else "green")
