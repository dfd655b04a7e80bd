"""The figures: their machinery, at a size that only shows that it runs; and the
octets that penstock counts beside those of an independent capture."""

import asyncio
import csv
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

import capture
import penstock as penstock_module

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(TOP / "benchmarks"))

import run as benchmarks                        # noqa: E402
from experiments import capture as counts       # noqa: E402
from lib.lab import route                       # noqa: E402


@pytest.mark.plain
@pytest.mark.parametrize("name", benchmarks.EXPERIMENTS)
def test_an_experiment_runs(name, tmp_path):
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not there")
    done = subprocess.run(
        [sys.executable, "-B", TOP / "benchmarks" / "run.py", "--size",
         "smoke", "--out", tmp_path, name],
        env={**os.environ, "PENSTOCK": penstock_module.BINARY},
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert f'<h2 id="{name}">' in page
    if "class=missing" in page.split("</nav>")[1]:
        pytest.skip("what it needs is not there")
    tables = list(tmp_path.glob("*.csv"))
    assert tables
    for table in tables:
        with open(table, newline="") as f:
            rows = list(csv.reader(f))
        assert len(rows) > 1, table
        assert {len(r) for r in rows} == {len(rows[0])}, table
    for figure in (tmp_path / "figures").glob("*.svg"):
        assert f'id="{figure.stem}-' in page
        assert f"(figures/{figure.name})" in (tmp_path / "report.md").read_text()
        assert figure.read_text().rstrip().endswith("</svg>"), figure


@pytest.mark.plain
def test_what_fails_is_told_and_the_others_go_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-B", TOP / "benchmarks" / "run.py", "--size",
         "smoke", "--penstock", "/bin/false", "--out", tmp_path, "octets",
         "rivals", "updates"],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    page = (tmp_path / "report.html").read_text()
    # rivals needs a penstock that has `bench`, and is left out without.
    assert "2 of 3 failed: " in page and "Not measured here" in page
    assert done.stderr.rstrip().endswith("; failed: octets, updates")


@pytest.mark.plain
def test_what_hangs_ends():
    async def late():
        asyncio.get_running_loop().call_later(0.1, time.sleep, 0.3)
        await asyncio.sleep(60)
    with pytest.raises(benchmarks.Stuck), benchmarks.deadline(0.2, again=0.1):
        asyncio.run(late())
    with benchmarks.deadline(0.1):
        pass
    time.sleep(0.2)


@pytest.mark.alone  # tcpdump must not lose packets
@pytest.mark.parametrize("transport", counts.NAMES)
def test_octets_counted_are_those_of_a_capture(penstock, transport):
    if why := capture.why_not():
        pytest.skip(why)
    p = penstock({"routes": [route(heartbeat="200ms", wait="1s")]})
    told, seen, _ = counts.compare(p, transport, 1.5)
    assert seen.from_server > 2000 and seen.to_server > 2000
    for ours, wire in ((told[0], seen.from_server), (told[1], seen.to_server)):
        assert abs(ours - wire) <= counts.MOST * wire, (told, vars(seen))
