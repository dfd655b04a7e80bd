"""The command line, and what becomes of a config file that is wrong."""

import os
import signal
import socket
import subprocess

import pytest

from penstock import BINARY

GOOD = """{
  "listen": "127.0.0.1:0", // any
  "backends": { "app": "http://127.0.0.1:9" },
  "routes": [ { "path": "/*", "proxy": "app" } ]
}
"""


def run(*args, **options):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True,
                          text=True, timeout=30, **options)


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "penstock.json"
        path.write_text(text)
        return path
    return write


def test_check_says_what_a_good_file_holds(file):
    path = file(GOOD)
    done = run("check", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: ok (1 route, 1 backend)\n"


def test_check_tells_every_fault_with_its_line(file):
    path = file(GOOD.replace('"app" }', '"ap", "lag": 1 }')
                .replace('"listen"', '"listens"'))
    done = run("check", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert [l.removeprefix(f"{path}:") for l in done.stderr.splitlines()] == [
        '1: listen: is missing.  The addresses for clients: "127.0.0.1:8080", '
        '"[::1]:8080", or ":8080" for every interface; or an object where TLS is '
            'spoken there; one or an array. Port 0 '
        'takes a free one, which the log names.',
        '2: listens: unknown key.  Did you mean "listen"?',
        '4: routes[0].proxy: unknown backend "ap"; defined: app.  Did you mean '
        '"app"?',
        '4: routes[0].lag: must be a string such as "disconnect", not a number',
        '4: routes[0].lag: does not go with "proxy"; a proxied route passes '
        'requests on as they are',
    ]


def test_a_wrong_file_is_found_before_anything_listens(file):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = "%s:%d" % s.getsockname()
    path = file(GOOD.replace("127.0.0.1:0", address).replace("/*", "*"))
    for args in (["run", path], [path]):
        done = run(*args)
        assert done.returncode == 1
        assert done.stderr == f'{path}:4: routes[0].path: must begin with /; ' \
                              'write "/*"\n'


def test_a_file_may_come_from_a_pipe(file):
    done = run("check", "/dev/stdin", input=GOOD)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("args", [
    [], ["run"], ["check"], ["--nonsense"], ["check", "a", "b"],
    ["run", "a", "b"], ["schema", "x"]])
def test_a_call_that_is_not_known_is_2(args):
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: penstock ")


def test_help_and_version_go_to_standard_output():
    assert run("--help").stdout.startswith("usage: penstock ")
    assert run("--version").stdout.startswith("penstock 0.")


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "schema"], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_the_short_form_serves(file):
    process = subprocess.Popen([BINARY, file(GOOD)], stderr=subprocess.PIPE,
                               text=True)
    line = ""
    while " listen " not in line:
        line = process.stderr.readline()
        assert line, "it ended"
    os.kill(process.pid, signal.SIGTERM)
    process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
