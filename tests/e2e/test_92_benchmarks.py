"""The figures: their machinery, at a size that only shows that it runs; and the
octets that penstock counts beside those of an independent capture."""

import csv
import os
import pathlib
import shutil
import subprocess
import sys

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
    for figure in tmp_path.glob("*.svg"):
        assert figure.stem in page
        assert figure.read_text().rstrip().endswith("</svg>"), figure


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
