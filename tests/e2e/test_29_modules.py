"""Shared objects named in "modules": one made against the installed headers,
and what is said of those that cannot be had."""

import json
import os
import pathlib
import shlex
import subprocess

import pytest

from clients import reader
from penstock import BINARY

LIB = pathlib.Path(__file__).parent.parent / "lib"
BUILD = pathlib.Path(BINARY).resolve().parent


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
    assert faults(tmp_path, config(ticker="app/{n}"))[0].startswith(
        'routes[0].source.ticker: unknown key')


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
        'ours 1); build it again with our headers']
    assert told("a b") == [
        'modules[0]: "a b" is neither a module\'s name nor a file\'s path']
