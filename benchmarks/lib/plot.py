"""Figures by gnuplot: units on the axes, a label beside each line, one colour
for one transport in all of them."""

import math
import re
import subprocess

COLOURS = {
    "websocket": "#0072b2", "sse": "#00876c", "longpoll": "#d98200",
    "poll": "#c0392b", "cache": "#8e44ad", "other": "#5d6d7e",
}
# Where lines lie on each other the wider one shows beside the narrow one, and
# marks differ in more than colour.
LINES = {"websocket": 4.6, "sse": 2.4, "longpoll": 1.6}
MARKS = {"websocket": 5, "sse": 7, "longpoll": 9, "poll": 13, "cache": 11}
WIDTH, HEIGHT = 800, 440
# Text that crosses a line stays readable.
HALO = ("<style>text{paint-order:stroke;stroke:#fff;stroke-width:3.5px;"
        "stroke-linejoin:round}</style>")
HEAD = """set encoding utf8
set terminal svg size {w},{h} dynamic enhanced font "Helvetica,Arial,sans-serif,13" background "#ffffff"
set output "{path}"
set border 3 lc rgb "#555555" lw 1
set tics nomirror textcolor rgb "#333333"
set grid ytics lc rgb "#dddddd" lw 1 lt 1
unset key
set title "{title}" font ",15" textcolor rgb "#111111" offset 0,0.3
"""


class Series:
    """points: (x, y) or (x, y, low, high); name picks the colour.  The label
    stands at the right end, or with at=(i, dx, dy) so many characters from
    point i."""

    def __init__(self, label, points, name="other", colour=None, dash=1,
                 marks=True, line=True, at=None):
        self.at = at
        self.label, self.name = label, name
        self.points = [p for p in points if p[1] is not None]
        self.colour = colour or COLOURS.get(name, COLOURS["other"])
        self.dash, self.marks, self.line = dash, marks, line
        self.width, self.mark = LINES.get(name, 2.2), MARKS.get(name, 7)


def quote(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace(
        "_", "\\\\_")


def tidy(text, halo):
    """gnuplot's SVG without what nobody sees, which is half of it."""
    text = re.sub(r"<!--.*?-->|<(title|desc)>.*?</\1>", "", text, flags=re.S)
    text = re.sub(r"> <", ">\n<", re.sub(r"\s+", " ", text))
    return text.replace("<defs>", (HALO if halo else "") + "<defs>", 1) + "\n"


def run(script, path, halo=True):
    source = path.with_suffix(".gp")
    source.write_text(script)
    subprocess.run(["gnuplot", str(source)], check=True,
                   stdin=subprocess.DEVNULL)
    path.write_text(tidy(path.read_text(), halo))
    return path


def head(path, title, width=WIDTH, height=HEIGHT):
    return HEAD.format(path=path, title=quote(title), w=width, h=height)


def spread(wanted, gap):
    """Places (0..1) as near as may be to those wanted, gap apart."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [wanted[i] for i in order]
    for _ in range(200):
        moved = False
        for i in range(len(places) - 1):
            lack = gap - (places[i + 1] - places[i])
            if lack > 1e-6:
                places[i] -= lack / 2
                places[i + 1] += lack / 2
                moved = True
        if not moved:
            break
    low = min(places, default=0)
    if low < 0:
        places = [p - low for p in places]
    result = [0.0] * len(wanted)
    for i, place in zip(order, places):
        result[i] = place
    return result


def short(value):
    """200, 20k, 1M."""
    for unit, text in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{text}"
    return f"{value:g}"


def decades(low, high):
    """Marks of a logarithmic axis: 1, 2, 5, 10... or only 1, 10, 100..."""
    digits = (1, 2, 5) if high / low < 1500 else (1,)
    places = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [(short(d * 10.0 ** n), d * 10.0 ** n) for n in places
            for d in digits if low <= d * 10.0 ** n <= high]


class Axis:
    """label says what and in which unit; ticks is [(text, value)]."""

    def __init__(self, label, log=False, low=None, high=None, ticks=None):
        self.label, self.log = label, log
        self.low, self.high, self.ticks = low, high, ticks

    def fit(self, values):
        values = [v for v in values if v is not None and
                  (v > 0 or not self.log)]
        low, high = min(values), max(values)
        if self.log:
            self.low = self.low or low / 1.3
            self.high = self.high or high * 1.3
        else:
            self.low = min(0, low) if self.low is None else self.low
            self.high = self.high or (high * 1.08 or 1)

    def place(self, value):
        """0..1 along the axis."""
        if self.log:
            return (math.log(max(value, self.low)) - math.log(self.low)) / (
                math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def script(self, letter):
        lines = [f'set {letter}label "{quote(self.label)}" '
                 f'textcolor rgb "#333333"',
                 f"set {letter}range [{self.low:.9g}:{self.high:.9g}]"]
        if self.log:
            lines.append(f"set logscale {letter}")
            lines.append(f'set format {letter} "%g"')
        if self.log and not self.ticks:
            self.ticks = decades(self.low, self.high)
        if self.ticks:
            marks = ", ".join(f'"{quote(t)}" {v:.9g}' for t, v in self.ticks)
            lines.append(f"set {letter}tics ({marks})")
        return "\n".join(lines) + "\n"


def lines(path, title, series, x, y, notes=(), width=WIDTH, height=HEIGHT):
    """Lines with their names at their right ends.  notes are (x, y, text)."""
    x.fit([p[0] for s in series for p in s.points])
    y.fit([v for s in series for p in s.points for v in p[1:]])
    script = head(path, title, width, height) + x.script("x") + y.script("y")
    named = [s for s in series if s.label and s.points and not s.at]
    longest = max((len(s.label) for s in named), default=0)
    script += f"set rmargin {longest * 0.95 + 3:.0f}\n"
    ends = [min(1, max(0, y.place(s.points[-1][1]))) for s in named]
    for s, place in zip(named, spread(ends, 0.055)):
        right = x.place(s.points[-1][0])
        script += (f'set label "{quote(s.label)}" at graph '
                   f'{max(1, right) + 0.02:.4f}, graph {place:.4f} left '
                   f'textcolor rgb "{s.colour}"\n')
    for s in series:
        if s.at and s.label and s.points:
            i, dx, dy = s.at
            nx, ny = s.points[i][:2]
            script += (f'set label "{quote(s.label)}" at {nx:.9g},{ny:.9g} left '
                       f'offset {dx},{dy} front textcolor rgb "{s.colour}"\n')
    for nx, ny, text in notes:
        script += (f'set label "{quote(text)}" at {nx:.9g},{ny:.9g} left '
                   f'font ",12" textcolor rgb "#555555" offset 0.6,0.6 '
                   f'point pt 6 ps 1.1 lc rgb "#555555"\n')
    plots, data = [], ""
    for s in sorted(series, key=lambda s: -s.width):
        if not s.points:
            continue
        block = "\n".join(" ".join(f"{v:.9g}" for v in (
            p if len(p) == 4 else (p[0], p[1], p[1], p[1]))) for p in s.points)
        style = {(True, True): f"linespoints lw {s.width} dt {s.dash} "
                               f"pt {s.mark} ps 0.7",
                 (False, True): f"lines lw {s.width} dt {s.dash}",
                 (True, False): f"points pt {s.mark} ps 0.9"}[s.marks, s.line]
        plots.append(f"'-' using 1:2 with {style} lc rgb \"{s.colour}\"")
        data += block + "\ne\n"
        if any(len(p) == 4 for p in s.points):
            plots.append(f"'-' using 1:2:3:4 with yerrorbars lw 1 pt {s.mark} "
                         f'ps 0.7 lc rgb "{s.colour}"')
            data += block + "\ne\n"
    return run(script + "plot " + ", \\\n  ".join(plots) + "\n" + data, path)


def bars(path, title, rows, x, width=WIDTH, reference=None):
    """Horizontal bars.  rows: (label, name of colour, value, low, high, text),
    or None for a space; text stands at the bar's end."""
    x.fit([v for r in rows if r for v in (r[2], r[4])])
    if x.log:
        x.high *= 2.2
    else:
        x.high *= 1.12
    height = 90 + 24 * len(rows)
    script = head(path, title, width, height) + x.script("x")
    script += ("unset grid\n"
               f"set yrange [{len(rows) - 0.4:.1f}:-0.6]\nset border 1\n"
               "set ytics scale 0\nset xtics out\n")
    marks = ", ".join(f'"{quote(r[0])}" {i}' for i, r in enumerate(rows) if r)
    longest = max(len(r[0]) for r in rows if r)
    script += f"set ytics ({marks})\nset lmargin {longest * 0.95 + 2:.0f}\n"
    for i, r in enumerate(rows):
        if r:
            script += (f'set label "{quote(r[5])}" at {max(r[4], r[2]):.9g},{i} '
                       f'left offset 0.7,0 front font ",12" textcolor rgb "#333333"\n')
    if reference is not None:
        script += (f"set arrow from {reference:.9g},graph 0 to "
                   f"{reference:.9g},graph 1 nohead lw 1.5 dt 2 "
                   'lc rgb "#333333"\n')
    plots, data = [], ""
    for i, r in enumerate(rows):
        if not r:
            continue
        colour = COLOURS.get(r[1], r[1] if r[1].startswith("#") else
                             COLOURS["other"])
        plots.append("'-' using 1:2:3:4:5:6 with boxxyerror fs solid 0.85 "
                     f'noborder lc rgb "{colour}"')
        data += (f"{r[2]:.9g} {i} {x.low:.9g} {r[2]:.9g} {i - 0.36} "
                 f"{i + 0.36}\ne\n")
        if r[3] != r[4]:
            plots.append("'-' using 1:2:3:4 with xerrorbars lw 1.2 pt 0 "
                         'lc rgb "#222222"')
            data += f"{r[2]:.9g} {i} {r[3]:.9g} {r[4]:.9g}\ne\n"
    return run(script + "plot " + ", \\\n  ".join(plots) + "\n" + data, path)


def grids(path, panels, columns, rows, xlabel, ylabel, width=WIDTH, per_row=2,
          height=300):
    """Heat maps with their values in them.  panels: (title, {(row, column):
    value}, write(value), log); columns and rows are texts; the first row is
    at the bottom."""
    down = -(-len(panels) // per_row)
    script = head(path, "", width, height * down) + (
        "unset title\nunset border\nset tics scale 0\nunset grid\n"
        "unset colorbox\n"
        'set palette defined (0 "#f3f7fb", 0.5 "#8fb8de", 1 "#2f6da8")\n'
        f"set multiplot layout {down},{per_row}\n")
    xt = ", ".join(f'"{t}" {i}' for i, t in enumerate(columns))
    yt = ", ".join(f'"{t}" {i}' for i, t in enumerate(rows))
    script += (f"set xtics ({xt})\nset ytics ({yt})\n"
               f'set xlabel "{quote(xlabel)}"\nset ylabel "{quote(ylabel)}"\n'
               f"set xrange [-0.5:{len(columns) - 0.5}]\n"
               f"set yrange [-0.5:{len(rows) - 0.5}]\n")
    for title, values, write, log in panels:
        def shade(v):
            return math.log(max(v, 1e-9)) if log else v
        shades = [shade(v) for v in values.values() if v is not None]
        low, high = min(shades), max(shades)
        high = high if high > low else low + 1
        script += (f'set title "{quote(title)}" font ",13"\nunset label\n'
                   f"set cbrange [{low:.9g}:{high:.9g}]\n")
        for (r, c), v in values.items():
            dark = v is not None and (shade(v) - low) / (high - low) > 0.62
            script += (f'set label "{quote(write(v))}" at {c},{r} center front '
                       f'font ",12" textcolor rgb '
                       f'"{"#ffffff" if dark else "#222222"}"\n')
        script += ("plot '-' using 1:2:(0.49):(0.48):3 with boxxyerror "
                   "fs solid 1 noborder lc palette\n")
        script += "".join(f"{c} {r} {shade(v):.9g}\n"
                          for (r, c), v in values.items() if v is not None)
        script += "e\n"
    return run(script + "unset multiplot\n", path, halo=False)
