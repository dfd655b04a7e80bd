"""Fixtures: a penstock, a backend, and what they said when a test failed."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

import penstock as penstock_module  # noqa: E402
import load                         # noqa: E402
import servers                      # noqa: E402
import programs                     # noqa: E402
from backend import Backend         # noqa: E402
from raw import wait_for            # noqa: E402, F401
from ws_backend import WsBackend    # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "node: needs node and its packages")
    config.addinivalue_line("markers", "chromium: needs Chromium and node")
    config.addinivalue_line("markers", "nginx: needs nginx")
    config.addinivalue_line("markers", "redis: needs redis-server")
    config.addinivalue_line("markers", "haproxy: needs HAProxy")
    config.addinivalue_line("markers", "load: needs the programs of tests/load")
    config.addinivalue_line("markers", "alone: measures, or loads the machine")
    config.addinivalue_line("markers", "plain: of more than penstock: not run "
                            "with the builds of sanitizers")
    config.addinivalue_line("markers", "slow: takes more than five seconds")


def pytest_runtest_setup(item):
    """What is missing is skipped; PENSTOCK_NO_SKIP=1 makes it a failure."""
    for name, there in (("node", programs.have_node),
                        ("chromium", programs.have_chromium),
                        ("nginx", servers.have_nginx),
                        ("redis", servers.have_redis),
                        ("haproxy", servers.have_haproxy),
                        ("load", load.have_load)):
        if item.get_closest_marker(name) and not there():
            skip = pytest.fail if os.environ.get("PENSTOCK_NO_SKIP") else pytest.skip
            skip(f"{name} is not there")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for p in getattr(item, "penstocks", []):
            report.sections.append((f"log of {p.file.stem}", p.log()))
        for b in getattr(item, "backends", []):
            report.sections.append((f"requests at {b.url}", "\n".join(
                map(repr, b.requests[-20:]))))


@pytest.fixture
def penstock(request, tmp_path):
    """penstock({"routes": [...]}) starts one, and the end of the test stops it
    and checks that it ended well."""
    started = request.node.penstocks = []

    def start(config, **options):
        p = penstock_module.Penstock(config, tmp_path,
                                     f"penstock{len(started)}", **options)
        started.append(p)
        return p.start()

    yield start
    for p in started:
        p.stop()


@pytest.fixture
def backend(request):
    """backend(handler) starts one."""
    started = request.node.backends = []

    def start(handler=None, **options):
        started.append(Backend(handler, **options).start())
        return started[-1]

    yield start
    for b in started:
        b.kill()
    failures = [f for b in started for f in b.failures]
    assert not failures, failures


@pytest.fixture
def small_quarantine(monkeypatch):
    """What ASan keeps of freed memory is not held by penstock.  Before the
    fixture penstock."""
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")


@pytest.fixture
def ws_backend():
    made = []

    def start(script, **options):
        made.append(WsBackend(script, **options))
        return made[-1]
    yield start
    for b in made:
        b.stop()
