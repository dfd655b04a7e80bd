#!/usr/bin/python3
"""Runs the experiments and writes what they found: CSV, SVG, report.html.

    benchmarks/run.py --penstock build/plain/penstock --out DIRECTORY [NAME...]

`make bench` calls it; BENCH=quick takes less than five minutes, without it less
than thirty.  Progress is told on standard error."""

import argparse
import contextlib
import importlib
import os
import pathlib
import shutil
import signal
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import machine, report  # noqa: E402
from lib.lab import Finding, Lab, Missing  # noqa: E402
from lib.progress import Progress  # noqa: E402

# In the report's order.
EXPERIMENTS = ["octets", "updates", "sweep", "grid", "clients", "rtt",
               "merging", "fanout", "saturation", "storm", "idle", "rivals", "capture",
               "advice"]


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--penstock", default=os.environ.get("PENSTOCK",
                                                        "./penstock"))
    p.add_argument("--out", default="bench")
    p.add_argument("--size", choices=["whole", "quick", "smoke"],
                   default=os.environ.get("BENCH") or "whole",
                   help="quick: fewer and smaller, under five minutes for all;"
                   "\nsmoke: only to see that everything runs, in seconds")
    p.add_argument("names", nargs="*", metavar="NAME",
                   help="only these: " + ", ".join(EXPERIMENTS))
    args = p.parse_args()
    for name in args.names:
        if name not in EXPERIMENTS:
            p.error(f"no experiment {name!r}; there are: "
                    + ", ".join(EXPERIMENTS))
    return args


def check_needs(penstock):
    """Says what is missing, by its Debian name."""
    lacks = []
    if not shutil.which("gnuplot"):
        lacks.append("gnuplot-nox")
    if not shutil.which("taskset"):
        lacks.append("util-linux")
    if not os.access(penstock, os.X_OK):
        sys.exit(f"bench: no penstock at {penstock}: build it first")
    if lacks:
        sys.exit("bench: these are missing (by their Debian names): "
                 + " ".join(lacks) + "; ./bootstrap bench installs them")
    for program, package in (("tcpdump", "tcpdump"), ("nginx", "nginx-light")):
        if not (shutil.which(program) or
                shutil.which(program, path="/usr/sbin")):
            print(f"bench: {package} is missing: what needs it is left out",
                  file=sys.stderr)


class Stuck(Exception):
    """An experiment took much longer than it should."""


@contextlib.contextmanager
def deadline(seconds, again=2):
    """Raises Stuck within.  It comes again, as one that is raised in a callback
    of asyncio is only logged."""
    def stuck(*_):
        raise Stuck(f"not done after {seconds} s")
    signal.signal(signal.SIGALRM, stuck)
    signal.setitimer(signal.ITIMER_REAL, seconds, again)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def perform(module, lab):
    lab.finding = Finding(module.__name__.split(".")[-1], module.TITLE,
                          module.QUESTION, module.METHOD)
    begun = time.monotonic()
    lab.progress.enter(lab.finding.name)
    try:
        with deadline(60 + 3 * module.SECONDS[lab.size == "whole"]):
            module.run(lab)
    except Missing as e:
        lab.finding.missing = str(e)
        lab.step(f"left out: {e}")
    except Exception as e:  # the others go on; the exit status says it
        lab.finding.failed = f"{type(e).__name__}: {e}"
        lab.step(f"failed: {e}")
        traceback.print_exc()
    lab.finding.seconds = time.monotonic() - begun
    return lab.finding


def main():
    args = arguments()
    penstock = os.path.abspath(args.penstock)
    check_needs(penstock)
    os.environ["PENSTOCK"] = penstock  # read by tests/lib as it is imported
    os.environ["BENCH"] = args.size    # and by lib.machine
    out = pathlib.Path(args.out)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    facts = machine.facts(penstock)
    machine.prepare()
    # So that the servers end as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    modules = [importlib.import_module(f"experiments.{n}")
               for n in EXPERIMENTS if not args.names or n in args.names]
    progress = Progress([(m.__name__.split(".")[-1],
                          m.SECONDS[args.size == "whole"]) for m in modules])
    kind = "" if args.size == "whole" else f" BENCH={args.size}"
    lab = Lab(args.size, out.absolute(), progress)
    findings = []
    try:
        for module in modules:
            findings.append(perform(module, lab))
            seconds = time.monotonic() - progress.begun
            report.page(findings, facts, kind, seconds, out / "report.html")
            report.text(findings, facts, kind, seconds, out / "report.md")
    finally:
        lab.close()
    failed = [f.name for f in findings if f.failed]
    progress.end(f"{out / 'report.html'}: {len(findings)} experiments in "
                 f"{seconds:.0f} s"
                 + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
