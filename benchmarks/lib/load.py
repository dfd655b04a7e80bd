"""Clients by the thousand: `penstock bench`, which measures any server alike."""

import json
import os
import subprocess

from . import machine
from .lab import Missing

LONGEST_S = 120


def program():
    """The penstock that has `bench`: its path."""
    path = os.environ["PENSTOCK"]
    done = subprocess.run([path, "bench", "--help"], capture_output=True,
                          text=True, check=False)
    if "usage: penstock bench" not in done.stdout:
        raise Missing("this penstock has no `bench`")
    return path


def bench(url, transport, connections, publish=None, pid=None, **options):
    """Its report as a dictionary.  pid: the server's, or a list.  Options are its long ones, with _ for -;
    True for those without a value."""
    argv = [*machine.on_client_cpu(), program(), "bench", "--json",
            "--transport", transport, "--connections", str(connections)]
    options.setdefault("opening", 200)
    if publish:
        argv += ["--publish", publish]
    for each in pid if isinstance(pid, list) else [pid] if pid else []:
        argv += ["--pid", str(each)]
    for name, value in options.items():
        argv.append("--" + name.replace("_", "-"))
        if value is not True:
            argv.append(str(value))
    done = subprocess.run([*argv, url], capture_output=True, text=True,
                          check=False, timeout=LONGEST_S)
    if not done.stdout:
        raise RuntimeError(f"{' '.join(argv[2:])}: {done.stderr[-300:]}")
    report = json.loads(done.stdout)
    if publish and "deliveries" not in report:
        raise RuntimeError(f"{url} by {transport}: " +
                           "; ".join(report["faults"]))
    return report


def of_penstock(p, transport, connections, channel="n/a", path=None,
                **options):
    """bench() of a penstock of lab.penstock()."""
    return bench(f"http://127.0.0.1:{p.port}/{path or channel}", transport,
                 connections,
                 f"http://127.0.0.1:{p.admin_port}/channels/{channel}",
                 p.pid, **options)


def connections(count):
    """As many of them as a process here can hold open."""
    return min(count, machine.descriptors() - 300)
