"""Starts, watches and stops one penstock."""

import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import raw
from certificates import client_context

SUPPRESSIONS = pathlib.Path(__file__).parent / "tsan.supp"
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer"
                       r"|runtime error:|ERROR: LeakSanitizer")
BINARY = os.environ.get("PENSTOCK", "./penstock")


class Penstock:
    """config is a dict; "listen" and "admin" default to free ports.  .port
    and .admin_port are what it got.  under is a command that runs it, such as
    ("prlimit", "--nofile=64").  tls: the Certificate that clients are shown,
    and in .tls what they trust."""

    def __init__(self, config, directory, name="penstock", args=(), under=(),
                 tls=None):
        address = "127.0.0.1:0"
        if tls:
            address = {"address": address, "tls": tls.names()}
        self.tls = tls and client_context(tls)
        self.config = {"listen": [address], "admin": "127.0.0.1:0", **config}
        self.file = directory / f"{name}.json"
        self.args = list(args)
        self.under = list(under)
        self.lines = []   # of the log
        self.access = []  # of the access log
        self.process = None

    def start(self, timeout=20):
        self.write_config()
        self.process = subprocess.Popen(
            [*self.under, BINARY, "run", str(self.file), *self.args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
            env=os.environ | self.sanitizer_options())
        self.threads = [
            threading.Thread(target=self.follow, args=pair, daemon=True)
            for pair in ((self.process.stderr, self.lines),
                         (self.process.stdout, self.access))]
        for thread in self.threads:
            thread.start()
        kinds = ["https" if isinstance(address, dict) else "http"
                 for address in self.config["listen"]]
        if self.config["admin"]:
            kinds.append("admin")
        try:
            self.wait_for(lambda: self.listening(kinds), timeout, "listening")
        except BaseException:
            self.kill()  # it is one failure, not a second one at its stop
            raise
        return self

    @staticmethod
    def sanitizer_options():
        """Reports are fatal, and say so in the exit status."""
        return {
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:"
                            + os.environ.get("ASAN_OPTIONS", ""),
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:"
                             + os.environ.get("UBSAN_OPTIONS", ""),
            "TSAN_OPTIONS": "exitcode=66:second_deadlock_stack=1:"
                            f"suppressions={SUPPRESSIONS}:"
                            + os.environ.get("TSAN_OPTIONS", ""),
        }

    def write_config(self, config=None):
        self.config = config or self.config
        self.file.write_text(json.dumps(self.config, indent=2))

    @staticmethod
    def follow(pipe, lines):
        with pipe:
            for line in pipe:
                lines.append(line.rstrip("\n"))

    def followed(self):
        """Everything that it said has been read: it has ended."""
        for thread in self.threads:
            thread.join(5)
        self.process = None

    def listening(self, kinds):
        ports = {}
        for line in self.log_lines(" listen "):
            m = re.search(r"address=\S*:(\d+) .*?kind=(\w+)", line)
            if m:
                ports.setdefault(m[2], []).append(int(m[1]))
        if any(len(ports.get(k, [])) < kinds.count(k) for k in kinds):
            return False
        self.ports = ports.get("http", []) + ports.get("https", [])
        self.port = self.ports[0]
        self.admin_port = ports.get("admin", [None])[0]
        return True

    def wait_for(self, cond, timeout=10, what="condition"):
        """Waits for cond while penstock runs."""
        def step():
            value = cond()
            if not value and self.process.poll() is not None:
                for thread in self.threads:
                    thread.join(5)
                raise AssertionError(
                    f"penstock ended with {self.process.returncode} while "
                    f"waiting for {what}:\n{self.log()}")
            return value
        return raw.wait_for(step, timeout, what)

    def log_lines(self, *parts):
        """Log lines that hold every part."""
        return [l for l in list(self.lines) if all(p in l for p in parts)]

    def log(self):
        return "\n".join(self.lines)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=20):
        """SIGTERM, and everything that a clean end is."""
        if self.process is None:
            return
        process = self.process
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"no end {timeout} s after SIGTERM") from None
        finally:
            self.followed()
        assert not SANITIZER.search(self.log()), "a sanitizer reported"
        assert code == 0, f"exit status {code} after SIGTERM"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.followed()

    def rss(self):
        """Resident octets."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu_s(self):
        """Seconds of processor time so far."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # --- the admin listener --------------------------------------------------

    def admin(self, method, target, headers=(), body=None, timeout=10):
        with raw.Client(self.admin_port, timeout=timeout) as c:
            return c.request(method, target, headers, body)

    def publish(self, channel, data, type=None, event=None, headers=()):
        """Publishes one message; its id."""
        return self.publish_answer(channel, data, type, event, headers)["id"]

    def publish_answer(self, channel, data, type=None, event=None, headers=()):
        extra = dict(headers)
        if type:
            extra["Content-Type"] = type
        if event:
            extra["Penstock-Event"] = event
        answer = self.admin("POST", f"/channels/{channel}", extra, data)
        assert answer.status == 201, answer
        return answer.json()

    def channel(self, name):
        """What the admin listener says of a channel; None if it is none."""
        answer = self.admin("GET", f"/channels/{name}")
        return answer.json() if answer.status == 200 else None

    def metric(self, name):
        """A counter, such as "gaps_total", summed over what it is split by."""
        text = self.admin("GET", "/metrics").text
        assert f"# TYPE penstock_{name} " in text, name
        return sum(float(n) if "." in n else int(n) for n in re.findall(
            rf"^penstock_{name}(?:{{.*}})? ([0-9.e+-]+)$", text, re.M))

    def measured(self, path, transport=None):
        """What GET /routes says that a route, or one of its transports, did."""
        for route in self.admin("GET", "/routes").json()["routes"]:
            if route["path"] == path:
                done = route["measured"]
                return done.get(transport) if transport else route
        raise AssertionError(f"no route {path}")

    # --- clients -------------------------------------------------------------

    def client(self, **options):
        return raw.Client(self, **options)

    def request(self, method, target, headers=(), body=None, timeout=10):
        with self.client(timeout=timeout) as c:
            return c.request(method, target, headers, body)

    def get(self, target, headers=(), timeout=10):
        return self.request("GET", target, headers, timeout=timeout)

    def url(self, target="/", scheme="http"):
        scheme += "s" if self.tls else ""
        return f"{scheme}://127.0.0.1:{self.port}{target}"
