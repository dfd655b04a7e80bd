"""The systems of doc/examples: each one's page, in Chromium, as its users have
it.  SHOTS names a folder for pictures of them."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import programs
import raw
from programs import Script

EXAMPLES = pathlib.Path(__file__).parents[2] / "doc" / "examples"
pytestmark = pytest.mark.plain
NAMES = sorted(p.parent.name for p in EXAMPLES.glob("*/backend.py"))


class Example:
    """A backend and a penstock with the example's own configuration, on ports
    that are free."""

    def __init__(self, name, penstock):
        self.name, folder = name, EXAMPLES / name
        text = re.sub(r"^\s*//.*$", "", (folder / f"{name}.json").read_text(),
                      flags=re.M)
        port = raw.free_port()
        config = json.loads(text.replace(":9000", f":{port}"))
        for key in ("listen", "admin"):
            del config[key]  # the harness has its own
        if name == "editing":  # that it is full is seen within a test
            config["routes"][0]["history"]["messages"] = 120
        self.penstock = penstock(config)
        env = os.environ | {"NODE": programs.node_directory()}
        self.backend = subprocess.Popen(
            [sys.executable, "-B", str(folder / "backend.py"), str(port),
             str(self.penstock.admin_port)], env=env)
        raw.wait_for(lambda: self.penstock.get("/").status == 200, 20, name)

    def stop(self):
        self.backend.terminate()
        self.backend.wait(10)


@pytest.fixture
def example(request, penstock):
    e = Example(request.param, penstock)
    yield e
    e.stop()


def drive(example):
    script = Script("chromium_examples.mjs", {
        "name": example.name, "url": example.penstock.url("/"),
        "shots": os.environ.get("SHOTS", ""),
        "executable": programs.CHROMIUM})
    script.thread.join(90)
    told = [json.loads(l) for l in script.lines if l.startswith("{")]
    assert told and told[-1]["is"] == "end", "".join(script.lines)
    assert not [t for t in told if t["is"] == "pageerror"], told
    return next(t for t in told if t["is"] == "seen")


CHECKS = {
    "notifications": lambda s: s["live"] < 500 and s["requests"] == "1",
    "chat": lambda s: s["latency"] < 100,
    "prices": lambda s: s["ticks"] >= 15 and s["took"] < 1000,
    "iot": lambda s: "on, after" in s["done"] and "No command" in s["other"],
    "crud": lambda s: "Alice" in s["users"],
    "weather": lambda s: s["asked"] > s["fresh"] and s["octets"] > 0,
    "public-api": lambda s: 10 <= s["limited"] <= 30,
    "game": lambda s: s["octets"] == 100 and s["rate"] >= 30 and
            len(set(s["dots"])) == 2,
    "editing": lambda s: s["text"] == "(draft) Dear all, welcome." and
               s["sockets"] == 1,
    "webrtc": lambda s: s["times"]["WebRTC"] < s["times"]["poll"],
}


@pytest.mark.chromium
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("example", NAMES, indirect=True)
def test_its_page_works(example):
    seen = drive(example)
    assert CHECKS[example.name](seen), seen


@pytest.mark.parametrize("name", NAMES)
def test_it_has_what_an_example_has(name):
    folder = EXAMPLES / name
    for file in (f"{name}.json", "index.html", "README.md"):
        assert (folder / file).stat().st_size > 0
    readme = (folder / "README.md").read_text()
    assert f"./bootstrap demo {name}" in readme
    assert len(readme.splitlines()) <= 40, "one screen"


@pytest.mark.parametrize("example", [n for n in NAMES if n != "editing"],
                         indirect=True)
def test_the_commands_of_its_readme_answer(example):
    """Each curl of the README, against this penstock; a stream is cut."""
    readme = (EXAMPLES / example.name / "README.md").read_text()
    for command in re.findall(r"^    (curl .*)$", readme, re.M):
        line = command.replace(":8080", f":{example.penstock.port}")
        if "-N" in line:
            line += " --max-time 2"
        done = subprocess.run(["sh", "-c", line + " -sS"], capture_output=True,
                              timeout=30, text=True)
        assert done.returncode in (0, 28), (command, done.stderr)
        assert '"status":4' not in done.stdout, (command, done.stdout)
