"""Says on standard error what runs and how long is left."""

import sys
import time


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """plan is [(name, seconds expected)]."""

    def __init__(self, plan):
        self.plan, self.begun = plan, time.monotonic()
        self.at, self.entered, self.width = -1, self.begun, 0
        self.live = sys.stderr.isatty()
        self.said = 0  # where lines stay, one in five seconds is enough

    def enter(self, name):
        self.at = [n for n, _ in self.plan].index(name)
        self.entered = time.monotonic()
        self.say("")

    def left(self):
        now = time.monotonic()
        later = sum(s for _, s in self.plan[self.at + 1:])
        return later + max(0, self.plan[self.at][1] - (now - self.entered))

    def say(self, what):
        gone = time.monotonic() - self.begun
        name = self.plan[self.at][0]
        line = (f"[{self.at + 1}/{len(self.plan)}] {clock(gone)} gone, about "
                f"{clock(self.left())} left: {name}"
                f"{': ' if what else ''}{what}")
        if self.live:
            print("\r" + line.ljust(self.width)[:150], end="", file=sys.stderr,
                  flush=True)
            self.width = len(line)
        elif not what or time.monotonic() - self.said > 5:
            self.said = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def end(self, text):
        print(("\n" if self.live else "") + text, file=sys.stderr, flush=True)
