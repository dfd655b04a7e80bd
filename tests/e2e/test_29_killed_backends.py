"""Each source in front of a real speaker of its protocol, which is killed at
random times and comes back: nothing is lost where the protocol can go on, or
readers are told so, and nothing comes twice.

PENSTOCK_SEED is what the dice begin with; a failure says which it was."""

import os
import random
import threading
import time

import pytest

from clients import TRANSPORTS, reader
from killed import KINDS, Kubernetes
from raw import wait_for

SEED = int(os.environ.setdefault("PENSTOCK_SEED",
                                 str(time.time_ns() % 1000000)))
ROUNDS = 6
ENOUGH = 20  # numbers that each reader hears before it ends, however merged
KILLED = [pytest.param(kind, id=name, marks=[getattr(pytest.mark, m)
                                              for m in kind.needs])
          for name, kind in KINDS.items()]


class Speech(threading.Thread):
    """Says one number after the other until it is told to end."""

    def __init__(self, backend, dice):
        super().__init__(daemon=True)
        self.backend, self.dice = backend, dice
        self.said, self.over = 0, threading.Event()

    def run(self):
        while not self.over.wait(self.dice.uniform(0, .03)):
            for _ in range(self.dice.choice((1, 1, 3, 10))):
                self.backend.say(self.said + 1)
                self.said += 1

    def end(self):
        self.over.set()
        self.join(40)
        assert not self.is_alive()


def kill_and_restart(backend, dice):
    for _ in range(ROUNDS):
        time.sleep(dice.uniform(0, .3))
        backend.kill()
        time.sleep(dice.choice((0, dice.uniform(0, .2))))
        backend.start()


class Ears(threading.Thread):
    """Reads on one transport until the number last has come; got is (number,
    whether a gap was told before it) each."""

    def __init__(self, transport, server, number):
        super().__init__(daemon=True)
        self.reader = reader(transport, server, "/k").connect("oldest")
        self.number, self.last, self.done = number, None, False
        self.got, self.failure = [], None

    def run(self):
        try:
            while not self.done:
                self.step()
        except BaseException as e:
            self.failure = e

    def step(self, timeout=.2):
        try:
            id, _, data = self.reader.read(1, timeout)[0]
        except TimeoutError:
            pass
        else:
            n = self.number(data)
            if n is not None:
                self.got.append((n, id))
        self.done = self.last is not None and self.last in [
            n for n, _ in self.got[-5:]]

    def wait(self, last, timeout=60):
        self.last = last
        self.join(timeout)
        if self.failure:
            raise self.failure
        assert self.done, f"{last} did not come; the last were {self.got[-5:]}"
        deadline = time.monotonic() + .05
        while time.monotonic() < deadline:
            self.step(.05)  # is there more?
        self.reader.close()
        self.numbers = [n for n, _ in self.got]


def judge(promise, ears, last):
    numbers = ears.numbers
    if promise == "all":
        assert numbers == list(range(1, last + 1))
        assert ears.reader.gaps == 0
        return
    assert numbers == sorted(set(numbers)), "in order, and each once"
    if promise == "told":
        for (a, _), (b, id) in zip(ears.got, ears.got[1:]):
            assert b == a + 1 or id in ears.reader.gaps_to, (
                f"{a} and {b}, and nobody was told")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KILLED)
def test_a_backend_killed_at_any_time(penstock, tmp_path, kind):
    print(f"PENSTOCK_SEED={SEED}")
    dice = random.Random(SEED)
    backend = kind(tmp_path)
    backend.start()
    try:
        backend.say(1)
        p = backend.penstock = penstock(backend.config())
        if backend.process is None:  # it is the one that connects
            backend.start()
        if kind.promise != "all":  # what is not kept is said to those who listen
            p.wait_for(lambda: is_open(p))
        ears = [Ears(t, p, kind.number) for t in TRANSPORTS]
        for e in ears:
            e.start()
        speech = Speech(backend, random.Random(SEED + 1))
        speech.said = 1
        speech.start()
        kill_and_restart(backend, dice)
        wait_for(lambda: all(e.failure or len(e.got) > ENOUGH for e in ears),
                 60, "enough to be heard by all")
        last = after(p, backend, speech)
        for e in ears:
            e.wait(last)
        for e in ears:
            judge(kind.promise, e, last)
        assert all(e.numbers == ears[0].numbers for e in ears)
    finally:
        backend.stop()


def is_open(p):
    channel = p.channel("k")
    return channel and channel["source"]["state"] == "OPEN"


def after(p, backend, speech):
    """The last number, which is said when somebody hears it."""
    speech.end()
    if backend.source.get("publish") is None:
        p.wait_for(lambda: is_open(p), 30)
    last = speech.said + 1
    backend.say(last)
    return last


def test_a_place_that_is_gone_is_a_gap_and_no_message(penstock, tmp_path):
    """Kubernetes forgets old versions; it says so in the stream."""
    backend = Kubernetes(tmp_path)
    for n in range(1, 4):
        backend.say(n)
    backend.start()
    try:
        p = penstock(backend.config())
        with reader("sse", p, "/k").connect("oldest") as r:
            seen = []
            while 3 not in seen:
                seen.append(backend.number(r.read(1)[0][2]))
            backend.kill()
            for n in range(4, 9):
                backend.say(n)
            backend.forget(6)
            backend.start()
            while not (n := backend.number(r.read(1, 20)[0][2])):
                pass  # bookmarks
            assert n == 7 and r.gaps == 1
        assert p.log_lines("source.failed", "no longer has what follows")
    finally:
        backend.stop()
