"""Messages of a wanted size, that say when they were made."""

import random
import re
import time

MARK = re.compile(rb'"n":"(\d{8})","t":"(\d{19})"')
MARK_BYTES = 49  # of the longest text that MARK finds
SIZES = {"64 B": 64, "300 B": 300, "5.2 kB": 5200}


def filling(size, seed=1):
    """JSON members such as an API has: names that come again, numbers that
    don't.  They deflate to about a third."""
    r = random.Random(seed)
    text = ""
    while len(text) < size:
        text += (f'"{r.choice(["ACME", "GLOBEX", "INITECH", "HOOLI"])}'
                 f'{r.randrange(100)}":{{"bid":{r.uniform(10, 99):.2f},'
                 f'"ask":{r.uniform(10, 99):.2f},"volume":'
                 f'{r.randrange(10 ** 6)},"open":true}},')
    return text[:size]


class Payloads:
    """make(n) is message number n, of exactly size octets of JSON."""

    def __init__(self, size, varied=True):
        """varied: the filling differs from message to message."""
        self.size = size
        room = size - len(self.wrap(0, 0, ""))
        self.fillings = [filling(room, seed).replace('"', "'").ljust(room)
                         for seed in range(16 if varied else 1)]

    @staticmethod
    def wrap(n, t, text):
        return f'{{"n":"{n:08d}","t":"{t:019d}","d":"{text}"}}'.encode()

    def make(self, n):
        return self.wrap(n, time.monotonic_ns(),
                         self.fillings[n % len(self.fillings)])
