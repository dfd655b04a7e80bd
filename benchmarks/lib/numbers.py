"""Figures out of several runs, and how they are written."""

import statistics


class Spread:
    """The samples of one figure."""

    def __init__(self, samples, digits=None):
        self.samples = list(samples)
        self.digits = digits

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def low(self):
        return min(self.samples)

    @property
    def high(self):
        return max(self.samples)

    def __str__(self):
        def write(v):
            return brief(v) if self.digits is None else f"{v:.{self.digits}f}"
        if len(self.samples) == 1:
            return write(self.median)
        return f"{write(self.median)} ({write(self.low)}–{write(self.high)})"


def brief(value):
    """Three figures that count, and no exponent."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == int(value):
        return f"{int(value)}"
    size = abs(value)
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.1e}"


def percentile(values, p):
    """p in 0..100, nearest rank; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def mean(values):
    return statistics.fmean(values) if values else None


def crossing(points_a, points_b):
    """Where two curves of the same x cross: between neighbours, on a straight
    line in logarithms.  A list of x."""
    from math import exp, log
    found = []
    pairs = [(x, log(a / b)) for (x, a), (_, b) in zip(points_a, points_b)]
    for (x0, d0), (x1, d1) in zip(pairs, pairs[1:]):
        if d0 == 0:
            found.append(x0)
        elif d0 * d1 < 0:
            part = d0 / (d0 - d1)
            found.append(exp(log(x0) + part * (log(x1) - log(x0))))
    return found
