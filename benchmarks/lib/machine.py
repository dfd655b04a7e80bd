"""What every figure depends on, and what a process costs."""

import os
import pathlib
import re
import resource
import subprocess

from . import TOP

CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, CLIENT_CPU = CPUS[0], CPUS[-1]


def pinned():
    """Whether server and clients have a processor each."""
    return len(CPUS) > 1 and os.environ.get("BENCH") != "smoke"


def on_server_cpu():
    """A command prefix: servers have a processor for themselves."""
    return ["taskset", "-c", str(SERVER_CPU)] if pinned() else []


def on_client_cpu():
    return ["taskset", "-c", str(CLIENT_CPU)] if pinned() else []


def prepare():
    """This process is a client: on the other processor, with as many
    descriptors as there may be."""
    if pinned():
        os.sched_setaffinity(0, {CLIENT_CPU})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def output(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip()


def facts(penstock):
    """{what: text}, in the order in which it is worth reading."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path(
        "/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path(
        "/proc/meminfo").read_text())[1])
    commit = output("git", "-C", str(TOP), "describe", "--always", "--dirty")
    config = pathlib.Path(penstock).parent / "config.status"
    flags = re.search(r'S\["CFLAGS"\]="([^"]*)"', config.read_text()) \
        if config.exists() else None
    return {
        "Commit": commit or "unknown",
        "Processor": f"{cpu[1] if cpu else 'unknown'}, {len(CPUS)} to use",
        "Memory": f"{memory / 2**20:.0f} GiB",
        "Kernel": f"{os.uname().sysname} {os.uname().release}",
        "Compiler": f"{output('cc', '--version').splitlines()[0]}, "
                    f"{flags[1] if flags else 'flags unknown'}",
        "Placement": f"servers on CPU {SERVER_CPU}, clients and publishers on "
                     f"CPU {CLIENT_CPU}",
        "Load before": f"{os.getloadavg()[0]:.1f}",
    }


def family(pid):
    """pid and all that descend from it."""
    pids, todo = [], [pid]
    while todo:
        pids.append(todo.pop())
        try:
            for task in pathlib.Path(f"/proc/{pids[-1]}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except OSError:
            pass
    return pids


def cpu_s(pid):
    """Processor time so far, with children's, to the nanosecond."""
    total = 0
    for member in family(pid):
        for task in pathlib.Path(f"/proc/{member}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                pass  # a thread that has just ended
    return total / 1e9


def pss_bytes(pid):
    """Memory that would be free without this process and its children."""
    total = 0
    for member in family(pid):
        text = pathlib.Path(f"/proc/{member}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s*(\d+)", text, re.M)[1]) * 1024
    return total


def slab_bytes():
    """What the kernel holds for sockets, files and the like, all of it."""
    text = pathlib.Path("/proc/meminfo").read_text()
    return sum(int(re.search(rf"^{name}:\s*(\d+)", text, re.M)[1]) * 1024
               for name in ("Slab", "KernelStack", "PageTables"))


def busy_s():
    """Processor time that the whole machine has spent, but idle and stolen."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()
    ticks = [int(f) for f in fields[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4] - ticks[7]) / os.sysconf(
        "SC_CLK_TCK")
