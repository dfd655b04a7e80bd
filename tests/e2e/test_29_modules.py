"""Shared objects named in "modules": one made against the installed headers,
and what is said of those that cannot be had."""

import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from clients import reader
from penstock import BINARY

LIB = pathlib.Path(__file__).parent.parent / "lib"
BUILD = pathlib.Path(BINARY).resolve().parent
ABI = re.search(r"PENSTOCK_ABI (\d+)", (
    LIB.parents[1] / "src" / "penstock" / "module.h").read_text())[1]


def sanitizer_flags():
    """Those of the penstock that is tested, so that both have one runtime."""
    makefile = (BUILD / "Makefile").read_text()
    return next(l.partition("=")[2] for l in makefile.splitlines()
                if l.startswith("SANITIZE ="))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Its headers and penstock.pc, as `make install` puts them."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "-C", str(BUILD), f"DESTDIR={root}",
                    "install-pkgincludeHEADERS", "install-pkgconfigDATA"],
                   check=True, stdout=subprocess.DEVNULL,
                   env={k: v for k, v in os.environ.items()
                        if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")})
    return root


@pytest.fixture(scope="module")
def build(installed):
    """build(name, *flags): the example, as a team would make it."""
    pc = next(installed.rglob("penstock.pc"))
    flags = subprocess.run(
        ["pkg-config", "--cflags", "penstock"], check=True, text=True,
        capture_output=True, env=os.environ | {
            "PKG_CONFIG_PATH": str(pc.parent),
            "PKG_CONFIG_SYSROOT_DIR": str(installed)}).stdout

    def build(name, *more, source=LIB / "ticker.c"):
        out = installed / f"{name}.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror",
                        *shlex.split(flags), *shlex.split(sanitizer_flags()),
                        *more, "-o", str(out), str(source)], check=True)
        return out
    return build


def config(*modules, **source):
    return {"modules": [str(m) for m in modules],
            "backends": {"app": "http://127.0.0.1:9"},
            "routes": [{"path": "/t/{n}", "start": "oldest", "source":
                        source or {"ticker": "app/{n}"}}]}


def test_a_module_of_ones_own_brings_a_source(penstock, build):
    p = penstock(config(build("ticker")))
    with reader("sse", p, "/t/3").connect() as r:
        assert [m[1:] for m in r.read(3)] == [
            ("tick", "1"), ("tick", "2"), ("tick", "3")]


def faults(tmp_path, text):
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"listen": "127.0.0.1:0",
                                "admin": "127.0.0.1:0", **text}))
    done = subprocess.run([BINARY, "check", str(file)], capture_output=True,
                          text=True, timeout=30, check=False)
    assert (done.returncode == 0) == (done.stderr == "")
    return [l.removeprefix(f"{file}:1: ") for l in done.stderr.splitlines()]


def test_its_keys_are_checked_like_others(tmp_path, build):
    module = build("ticker")
    assert faults(tmp_path, config(module)) == []
    assert faults(tmp_path, config(module, ticker="ap/{n}", lingr="1s")) == [
        'routes[0].source.lingr: unknown key.  Did you mean "linger"?',
        'routes[0].source.ticker: unknown backend "ap"; defined: app.  Did you '
        'mean "app"?']
    assert faults(tmp_path, config(module, ticker="app/{n}", redirects="any",
                                   idle_timeout="1s")) == [
        'routes[0].source.redirects: does not go with "ticker"',
        'routes[0].source.idle_timeout: does not go with "ticker"']
    assert faults(tmp_path, config(ticker="app/{n}"))[0].startswith(
        'routes[0].source.ticker: unknown key')


BACKENDS = {"cache": "redis://127.0.0.1:9", "app": "http://127.0.0.1:9"}


@pytest.mark.parametrize("source,told", [
    ({"redis": "cache", "stream": "s", "lingr": "1s"},
     ['.lingr: unknown key.  Did you mean "linger"?']),
    ({"redis": "cach", "stream": "s"},
     ['.redis: unknown backend "cach"; defined: cache, app.  Did you mean '
      '"cache"?']),
    ({"redis": "app", "stream": "s"},
     ['.redis: "app" is no Redis; a backend that is has a URL such as '
      '"redis://127.0.0.1:6379"']),
    ({"sse": "cache/s"},
     ['.sse: "cache" is a Redis, which is read by "redis"']),
    ({"redis": "cache", "stream": "s", "psubscribe": "t"},
     ['.stream: is a second thing to read; keep one of subscribe, psubscribe '
      'and stream']),
    ({"redis": "cache", "stream": "s", "from": "$"},
     ['.from: "$" is no entry of a stream; write "0" for all of it, or such as '
      '"1526919030474-55"']),
    ({"redis": "cache", "subscribe": "{x}"},
     ['.redis: {x} is not in the channel "t/{n}"']),
    ({"redis": "cache", "subscribe": "a", "headers": {}},
     ['.headers: does not go with "redis"'])])
def test_the_keys_of_redis_are_checked(tmp_path, source, told):
    assert [l.removeprefix("routes[0].source") for l in faults(
        tmp_path, config("redis", **source) | {"backends": BACKENDS})] == told


@pytest.mark.parametrize("url,told", [
    ("redis://127.0.0.1", None), ("redis://[::1]:1/2", None),
    ("redis://u:p%40@h:1/", None), ("redis+unix:///s?db=1", None),
    ("redis://h:x", '"x" is not a port; allowed: from 1 to 65535'),
    ("redis://h/x", '"x" is not a database\'s number'),
    ("redis://:%zz@h", "has a bad %-escape in its user or password"),
    ("redis+unix://s", 'needs the whole path of a socket, 107 octets at most; '
     'write "redis+unix:///run/redis/redis.sock"'),
    ("redis+unix:///s?x=1", '"?x=1" is not known; allowed: ?db=N')])
def test_urls_of_redis(tmp_path, url, told):
    lines = faults(tmp_path, config("redis", redis="cache", stream="s")
                   | {"backends": {"cache": url}})
    assert lines == ([] if told is None else [f"backends.cache: {told}"])


def test_what_cannot_be_loaded_is_told(tmp_path, build):
    publish = {"publish": True}
    other = tmp_path / "other.c"
    other.write_text("int nothing;\n")
    older = tmp_path / "older.c"
    older.write_text((LIB / "ticker.c").read_text().replace(
        "= PENSTOCK_ABI", "= 99"))
    old = build("old", source=older)

    def told(*modules):
        return faults(tmp_path, config(*modules, **publish))

    assert told("/nowhere/x.so") == [
        'modules[0]: there is no file "/nowhere/x.so"']
    assert told("nothing.so/../x") == [
        f'modules[0]: there is no file "{tmp_path}/nothing.so/../x"']
    [line] = told("no-such")
    assert line.startswith(
        f'modules[0]: there is neither "{BUILD}/modules/no-such.so" nor "')
    [line] = told(other)
    assert line.startswith(f"modules[0]: cannot load it: {other}: ")
    empty = build("empty", source=other)
    assert told(empty) == [
        f'modules[0]: "{empty}" is no module: it has no penstock_module']
    assert told(old) == [
        f'modules[0]: "{old}" was made for another penstock (its ABI is 99, '
        f'ours {ABI}); build it again with our headers']
    clash = tmp_path / "clash.c"
    clash.write_text((LIB / "ticker.c").read_text().replace(
        '.name = "ticker"', '.name = "sse"', 1))
    assert told(build("clash", source=clash)) == [
        'modules[0]: brings a source "sse", which is a key already']
    assert told("a b") == [
        'modules[0]: "a b" is neither a module\'s name nor a file\'s path']
