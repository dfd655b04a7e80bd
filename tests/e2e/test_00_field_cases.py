"""tests/field-cases.md: each case has tests, and they exist."""

import functools
import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).parents[1]
LINES = (TESTS / "field-cases.md").read_text().splitlines()
CASES = {m[1]: re.findall(r"`([\w.]+)::(\w+)`", line)
         for line in LINES if (m := re.match(r"\| (F\d\d) \|", line))}


@functools.cache
def names_in(file):
    """Of the functions that are run, too, where it is C."""
    text = (TESTS / ("unit" if file.endswith(".c") else "e2e") / file).read_text()
    if file.endswith(".c"):
        return set(re.findall(r"cmocka_unit_test\w*\(\s*(\w+)", text))
    return set(re.findall(r"^def (test_\w+)\(", text, re.M))


def test_every_case_is_there():
    assert sorted(CASES) == [f"F{n:02}" for n in range(1, 42)]


@pytest.mark.parametrize("case", CASES)
def test_a_case_has_tests_that_exist(case):
    assert CASES[case], "no test"
    for file, name in CASES[case]:
        assert name in names_in(file), f"{file} has no {name}"
