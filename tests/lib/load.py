"""Clients by the thousand: the programs of tests/load, built by `make check`
or `make check-e2e` beside the penstock that is tested."""

import os
import pathlib
import re
import subprocess

import penstock

DIRECTORY = pathlib.Path(os.environ.get("PENSTOCK_LOAD") or pathlib.Path(
    penstock.BINARY).resolve().parent / "tests" / "load")


def have_load():
    return all((DIRECTORY / name).exists() for name in ("crowd", "race"))


def sanitizer():
    """The one that penstock is built with, or None."""
    binary = pathlib.Path(penstock.BINARY)
    program = binary.read_bytes() if binary.exists() else b""
    for name in ("asan", "tsan"):
        if b"__%b_init" % name.encode() in program:
            return name
    return None


def scaled(plain, sanitized):
    """How many of something: PENSTOCK_SCALE=0.1 asks for a tenth, and a
    sanitizer's build is given fewer."""
    scale = float(os.environ.get("PENSTOCK_SCALE", "1"))
    return max(1, int((sanitized if sanitizer() else plain) * scale))


def figures(line):
    """{"clients": 200.0, ...} of "clients=200 ..." or "clients 200 ..."."""
    return {name: float(value)
            for name, value in re.findall(r"(\w+)[= ]([\d.]+)", line)}


def race(p, clients, messages, patience_s, timeout):
    """Runs race; its figures."""
    done = subprocess.run(
        [DIRECTORY / "race", str(p.port), str(p.admin_port), str(clients),
         str(messages), str(patience_s)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    print("race:", done.stdout.strip())
    return figures(done.stdout)


class Crowd:
    """Followers of one channel.  with Crowd(p, "/news") as crowd: ..."""

    def __init__(self, p, path):
        self.process = subprocess.Popen(
            [DIRECTORY / "crowd", str(p.port), str(p.admin_port), path,
             path.lstrip("/")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the crowd ended at {line!r}: see standard error"
        return figures(answer)

    def connect(self, kind, n):
        self.command(f"connect {kind} {n}")

    def publish(self, n, rate, size):
        """Ends when each that still follows has all of them."""
        done = self.command(f"publish {n} {rate} {size}")
        assert done["misplaced"] == 0, done
        return done

    def status(self):
        return self.command("status")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def machine():
    """What figures depend on."""
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    return (f"{model[1] if model else 'unknown'}, {os.cpu_count()} cores, "
            f"{os.uname().sysname} {os.uname().release}")
