"""517 cases of what a WebSocket server that echoes must do with what a client
sends (RFC 6455, RFC 7692), numbered as the usual conformance suite does it.

A case is a script for frames.Client: octets to write, and in between what has
to have come by then.  cases() makes them, run() plays one."""

import random

import frames
from frames import binary, close, cont, frame, ping, pong, text

KIB, MIB = 1024, 1024 * 1024

# --- the steps of a script ---------------------------------------------------


class Write:
    """Octets in one write, or in writes of size octets."""

    def __init__(self, data, size=None):
        self.data, self.size = data, size

    def play(self, ws):
        if self.size:
            ws.send_in(self.data, self.size)
        else:
            ws.send(self.data)


class Get:
    """The next message or pong has to be this one."""

    def __init__(self, opcode, payload):
        self.opcode, self.payload = opcode, payload

    def play(self, ws):
        got = message(ws)
        assert got is not None, "ended before an answer"
        assert got == (self.opcode, self.payload), (got[0], got[1][:60])


class Silence:
    """Nothing comes for so long."""

    def __init__(self, seconds):
        self.seconds = seconds

    def play(self, ws):
        assert ws.nothing(self.seconds), "something came"


class RoundTrips:
    """Messages, each sent after the echo of the one before."""

    def __init__(self, opcode, payload, count):
        self.opcode, self.payload, self.count = opcode, payload, count

    def play(self, ws):
        data = frame(self.opcode, self.payload)
        for _ in range(self.count):
            ws.send(data)
            assert message(ws) == (self.opcode, self.payload)


def message(ws):
    """The next message, its fragments joined, or control frame; None at the
    end."""
    f = ws.frame()
    if f is None:
        return None
    assert f.rsv == 0, f
    opcode, payload = f.opcode, f.payload
    while not f.fin:
        f = ws.frame()
        assert f.opcode == frames.CONT and f.rsv == 0, f
        payload += f.payload
    return opcode, payload


# --- how a case ends ----------------------------------------------------------

FAIL_S = 1  # a server that fails a connection does so within a second


class Cleanly:
    """The client closes with 1000, and gets it back."""

    def play(self, ws):
        ws.send(close(1000))
        Closed(1000).play(ws)


class Closed:
    """The client has said Close: nothing but one Close comes, and then it is
    the server that ends the connection."""

    def __init__(self, *codes):
        self.codes = codes

    def play(self, ws):
        said = ws.end(FAIL_S)
        assert len(said) == 1, said
        code = frames.close_code(said[0])
        assert code in self.codes, f"{code}, not one of {self.codes}"


class Fails(Closed):
    """The server fails the connection by itself.  (Dropping it would do as
    well, but it can always say why, so it has to.)"""


class Whatever:
    """Nothing is asked but an end."""

    def play(self, ws):
        ws.end(FAIL_S)


CLEANLY = Cleanly()
FAILS = Fails(1002)
BAD_TEXT = Fails(1007)


class Case:
    def __init__(self, number, steps, end=CLEANLY):
        self.number = number
        self.steps = [s if hasattr(s, "play") else Write(s) for s in steps]
        self.end = end

    def run(self, ws):
        try:
            for step in self.steps:
                step.play(ws)
        except (BrokenPipeError, ConnectionResetError):
            # It failed us before we had said all: right, if it is to.
            assert isinstance(self.end, Fails)
        self.end.play(ws)


class Numbers:
    """Cases that are numbered in a row: section.1, section.2, ..."""

    def __init__(self, section):
        self.section, self.cases = section, []

    def add(self, *steps, end=CLEANLY):
        number = f"{self.section}.{len(self.cases) + 1}"
        self.cases.append(Case(number, steps, end))

    def echo(self, opcode, payload, *steps):
        """The steps say payload, and it comes back."""
        self.add(*(steps or [frame(opcode, payload)]), Get(opcode, payload))


def octets(data):
    return Write(data, 1)


def three_ways(parts):
    """A script's frames in one write, a write each, an octet a write."""
    whole = b"".join(parts)
    return [whole], list(parts), [octets(whole)]


def pattern(n):
    """n octets of ASCII that are not the same everywhere."""
    line = b"".join(b"%07d " % i for i in range(min(n, 80000) // 8 + 1))
    return (line * (n // len(line) + 1))[:n]


def blob(n):
    """n octets of all values; not UTF-8 from the start."""
    return (bytes(range(255, -1, -1)) * (n // 256 + 1))[:n]


# --- 1: whole messages; 2: pings and pongs ---------------------------------------

SIZES = (0, 125, 126, 127, 128, 65535, 65536)


def messages():
    for section, opcode, make in (("1.1", frames.TEXT, pattern),
                                  ("1.2", frames.BINARY, blob)):
        n = Numbers(section)
        for size in SIZES:
            n.echo(opcode, make(size))
        data = make(65536)
        n.echo(opcode, data, Write(frame(opcode, data), 997))
        yield from n.cases


def pings():
    n = Numbers("2")
    for payload in (b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
                    b"\xfe" * 125):
        n.add(ping(payload), Get(frames.PONG, payload))
    n.add(ping(b"\xfe" * 126), end=FAILS)
    n.add(octets(ping(b"\xfe" * 125)), Get(frames.PONG, b"\xfe" * 125))
    n.add(pong())
    n.add(pong(b"unasked"))
    n.add(pong(b"unasked") + ping(b"asked"), Get(frames.PONG, b"asked"))
    ten = [b"payload %d" % i for i in range(10)]
    answers = [Get(frames.PONG, payload) for payload in ten]
    n.add(*[ping(payload) for payload in ten], *answers)
    n.add(octets(b"".join(map(ping, ten))), *answers)
    yield from n.cases


# --- 3: reserved bits; 4: reserved opcodes ------------------------------------------

HELLO = b"Hello, world!"
HELLO_BACK = Get(frames.TEXT, HELLO)


def reserved_bits():
    n = Numbers("3")
    n.add(text(HELLO, rsv=1), end=FAILS)
    for rsv, way in ((2, 0), (3, 1), (4, 2)):
        parts = [text(HELLO), text(HELLO, rsv=rsv), ping()]
        n.add(*three_ways(parts)[way], HELLO_BACK, end=FAILS)
    n.add(binary(blob(24), rsv=5), end=FAILS)
    n.add(ping(HELLO, rsv=6), end=FAILS)
    n.add(close(1000, rsv=7), end=FAILS)
    yield from n.cases


def reserved_opcodes():
    for section, first in (("4.1", 3), ("4.2", 11)):
        n = Numbers(section)
        for i in range(5):
            payload = HELLO if i % 2 else b""
            wrong = frame(first + i, payload)
            if i < 2:
                n.add(wrong, end=FAILS)
            else:
                n.add(text(HELLO), wrong, ping(), HELLO_BACK, end=FAILS)
        yield from n.cases


# --- 5: fragments ------------------------------------------------------------------

ONE, TWO = b"fragment1", b"fragment2"
JOINED = Get(frames.TEXT, ONE + TWO)


def fragmented():
    n = Numbers("5")
    for control in (ping, pong):
        n.add(control(ONE, fin=False) + cont(TWO), end=FAILS)
    first, last = text(ONE, fin=False), cont(TWO)
    for way in three_ways([first, last]):
        n.add(*way, JOINED)
    for way in three_ways([first, ping(b"pongme"), last]):
        n.add(*way, Get(frames.PONG, b"pongme"), JOINED)
    for fin in (True, False):
        for way in three_ways([cont(b"nothing began", fin=fin), text(HELLO)]):
            n.add(*way, end=FAILS)
    n.add(first + last + cont(b"nothing began", fin=False) + text(HELLO),
          JOINED, end=FAILS)
    for fin in (False, True):
        n.add(*2 * [cont(b"nothing began", fin=fin), first, last], end=FAILS)
    n.add(first, text(TWO), end=FAILS)
    for together in (False, True):
        n.add(*pings_between(together))
    yield from n.cases


def pings_between(together):
    """Five fragments, two pings, and a second's rest."""
    parts = [b"fragment%d" % i for i in range(1, 6)]
    before = [text(parts[0], fin=False), cont(parts[1], fin=False),
              ping(b"pongme 1!")]
    after = [cont(parts[2], fin=False), cont(parts[3], fin=False),
             ping(b"pongme 2!"), cont(parts[4])]
    if together:
        before, after = [b"".join(before)], [b"".join(after)]
    return [*before, Get(frames.PONG, b"pongme 1!"), Silence(1), *after,
            Get(frames.PONG, b"pongme 2!"), Get(frames.TEXT, b"".join(parts))]


# --- 6: UTF-8 ----------------------------------------------------------------------

# 2, 3, 2, 2 and 2 octets: the accent has a code point of its own.
GREEK = "κ\u1f79σμε".encode()
GREEK_ENDS = (2, 5, 7, 9, 11)
MIXED = "Grüße, κόσμε, 世界, 𝄞 and 😀".encode()


def utf8_fragments():
    n = Numbers("6.1")
    n.echo(frames.TEXT, b"")
    empty = [text(fin=False), cont(fin=False), cont()]
    n.echo(frames.TEXT, b"", *empty)
    n.echo(frames.TEXT, b"middle", empty[0], cont(b"middle", fin=False), cont())
    yield from n.cases
    n = Numbers("6.2")
    n.echo(frames.TEXT, MIXED)
    cut = MIXED.index("κ".encode())
    n.echo(frames.TEXT, MIXED, text(MIXED[:cut], fin=False), cont(MIXED[cut:]))
    for data in (MIXED, GREEK):
        n.echo(frames.TEXT, data, *frames.fragments(frames.TEXT, data, 1))
    yield from n.cases
    n = Numbers("6.3")
    bad = GREEK + b"\xed\xa0\x80" + b"edited"
    n.add(text(bad), end=BAD_TEXT)
    n.add(*frames.fragments(frames.TEXT, bad, 1), end=BAD_TEXT)
    yield from n.cases


def utf8_at_once():
    """A text is failed at its first bad octet: what would come after that is
    never sent."""
    n = Numbers("6.4")
    beyond = b"\xf4\x90\x80\x80"
    for bad in (beyond, beyond[:2]):
        n.add(text(GREEK, fin=False), Silence(1), cont(bad, fin=False),
              end=BAD_TEXT)
    for bad in (beyond, beyond[:2]):
        whole = text(GREEK + beyond + b"edited")
        at = len(whole) - len(GREEK + beyond + b"edited") + len(GREEK)
        n.add(whole[:at], Silence(1), whole[at:at + len(bad)], end=BAD_TEXT)
    yield from n.cases


def points(*codes):
    return [chr(c).encode() for c in codes]


def surrogates(*codes):
    return b"".join(chr(c).encode("utf-8", "surrogatepass") for c in codes)


def lead(length):
    """The first octet of the longest row of forms of this length."""
    return 0xff00 >> length & 0xff


def form(length, first, rest):
    """length octets: a lead with these bits, and continuations."""
    return bytes([lead(length) | first] + [rest] * (length - 1))


def overlong(code):
    """A code point under 64 in 2 to 6 octets."""
    return [form(n, 0, 0x80)[:-1] + bytes([0x80 | code]) for n in range(2, 7)]


HIGHEST_OVERLONG = [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf",
                    b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"]
CONTINUATIONS = [b"\x80", b"\xbf", *(b"\x80\xbf\x80\xbf\x80\xbf"[:n]
                                     for n in range(2, 7)),
                 bytes(range(0x80, 0xbf))]
# The lead octets of sequences of 2 to 6 octets.
LEADS = ((0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb), (0xfc, 0xfd))
ALONE = [b"".join(bytes([c, 0x20]) for c in range(low, high))
         for low, high in LEADS]
CUT_SHORT = [*(form(n, 0, 0x80)[:-1] for n in range(2, 7)),
             *(bytes([high] + [0xbf] * n) for n, (_, high) in enumerate(LEADS))]
NON_CHARACTERS = points(*(plane << 16 | low for plane in range(17)
                          for low in (0xfffe, 0xffff)))

VALID_TEXTS = {
    "6.5": [b"plain ASCII", "Grüße an alle".encode(), "3 × 5 €".encode(),
            "clef 𝄞 clef".encode(), GREEK],
    "6.7": points(0, 0x80, 0x800, 0x10000),
    "6.9": points(0x7f, 0x7ff, 0xffff, 0x10ffff),
    "6.22": NON_CHARACTERS,
    "6.23": points(*range(0xfff9, 0x10000)),
}
BAD_TEXTS = {
    "6.8": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.10": [b"\xf7\xbf\xbf\xbf", b"\xfb" + b"\xbf" * 4, b"\xfd" + b"\xbf" * 5],
    "6.12": CONTINUATIONS,
    "6.13": ALONE,
    "6.14": CUT_SHORT,
    "6.15": [b"".join(CUT_SHORT)],
    "6.16": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17": overlong(ord("/")),
    "6.18": HIGHEST_OVERLONG,
    "6.19": overlong(0),
    "6.20": [surrogates(c) for c in (0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00,
                                     0xdf80, 0xdfff)],
    "6.21": [surrogates(high, low) for high in (0xd800, 0xdb7f, 0xdb80, 0xdbff)
             for low in (0xdc00, 0xdfff)],
}


def utf8_texts():
    for section, valid in VALID_TEXTS.items():
        n = Numbers(section)
        for data in valid:
            n.echo(frames.TEXT, data)
        yield from n.cases
    for section, bad in BAD_TEXTS.items():
        n = Numbers(section)
        for data in bad:
            n.add(text(data), end=BAD_TEXT)
        yield from n.cases


def utf8_edges():
    n = Numbers("6.6")
    for size in range(1, len(GREEK) + 1):
        if size in GREEK_ENDS:
            n.echo(frames.TEXT, GREEK[:size])
        else:
            n.add(text(GREEK[:size]), end=BAD_TEXT)
    yield from n.cases
    n = Numbers("6.11")
    for data in points(0xd7ff, 0xe000, 0xfffd, 0x10ffff):
        n.echo(frames.TEXT, data)
    n.add(text(b"\xf4\x90\x80\x80"), end=BAD_TEXT)
    yield from n.cases


# --- 7: closing --------------------------------------------------------------------

CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000,
         4999)
NO_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)


def closing():
    n = Numbers("7.1")
    n.add(text(HELLO), close(1000), HELLO_BACK, end=Closed(1000))
    for then in (close(1000), ping(HELLO), text(HELLO)):
        n.add(close(1000) + then, end=Closed(1000))
    n.add(text(ONE, fin=False) + close(1000) + cont(TWO), end=Closed(1000))
    n.add(text(pattern(256 * KIB)) + close(1000) + ping(HELLO), end=Whatever())
    yield from n.cases
    n = Numbers("7.3")
    n.add(close(), end=Closed(1000, 1005))
    n.add(frame(frames.CLOSE, b"\x03"), end=FAILS)
    for reason in (b"", b"reason", b"*" * 123):
        n.add(close(1000, reason), end=Closed(1000))
    n.add(close(1000, b"*" * 124), end=FAILS)
    yield from n.cases
    n = Numbers("7.5")
    n.add(close(1000, GREEK + b"\xed\xa0\x80edited"), end=Fails(1002, 1007))
    yield from n.cases


def closing_codes():
    n = Numbers("7.7")
    for code in CODES:
        n.add(close(code), end=Closed(1000, code))
    yield from n.cases
    n = Numbers("7.9")
    for code in NO_CODES:
        n.add(close(code), end=FAILS)
    yield from n.cases
    n = Numbers("7.13")
    for code in (5000, 65535):
        n.add(close(code), end=Whatever())
    yield from n.cases


# --- 9: large and many; 10: one more -----------------------------------------------

BOTH = ((frames.TEXT, pattern), (frames.BINARY, blob))


def large():
    for at, (opcode, make) in enumerate(BOTH, 1):
        n = Numbers(f"9.{at}")
        for size in (64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB):
            n.echo(opcode, make(size))
        yield from n.cases
        n = Numbers(f"9.{at + 2}")
        data = make(4 * MIB)
        for size in (64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB,
                     4 * MIB):
            n.echo(opcode, data,
                   b"".join(frames.fragments(opcode, data, size)))
        yield from n.cases


def many():
    for at, (opcode, make) in enumerate(BOTH, 5):
        n = Numbers(f"9.{at}")
        data = make(MIB)
        for size in (64, 128, 256, 512, 1024, 2048):
            n.echo(opcode, data, Write(frame(opcode, data), size))
        yield from n.cases
        n = Numbers(f"9.{at + 2}")
        for size in (0, 16, 64, 256, 1024, 4096):
            n.add(RoundTrips(opcode, make(size), 1000))
        yield from n.cases
    n = Numbers("10.1")
    data = pattern(65536)
    n.echo(frames.TEXT, data,
           b"".join(frames.fragments(frames.TEXT, data, 1300)))
    yield from n.cases


# --- 12, 13: permessage-deflate -----------------------------------------------------

PLAIN_SIZES = (16, 64, 256, KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB,
               128 * KIB)
# (octets of a message, octets of a fragment)
SHAPES = (*((size, None) for size in PLAIN_SIZES),
          *((size, 256) for size in PLAIN_SIZES[5:]),
          *((128 * KIB, size) for size in (KIB, 4 * KIB, 32 * KIB)))


def vocabulary(rng):
    return ["".join(rng.choices("eeettaaoinshrdlucmfwypvbgk",
                                k=rng.randint(2, 9))) for _ in range(600)]


KNOWN = vocabulary(random.Random("words"))


def words(rng, n):
    return " ".join(rng.choices(KNOWN, k=n))


def json_text(rng):
    return "\n".join(
        '{"id":%d,"name":"%s","price":%.2f,"tags":["%s"],"open":%s}'
        % (i, words(rng, 2), rng.random() * 1000, words(rng, 1),
           rng.choice(("true", "false"))) for i in range(3000)).encode()


def bitmap(rng):
    line = bytes(rng.choices((0, 0, 0, 32, 64, 255), k=1536))
    return b"".join(line[i % 64:] + line[:i % 64] for i in range(128))


def prose(rng):
    return words(rng, 40000).encode()


def html(rng):
    return "".join(f'<tr class="row{i % 2}"><td>{i}</td><td>{words(rng, 5)}'
                   f"</td></tr>\n" for i in range(3000)).encode()


def pdf(rng):
    """Mostly what deflate can do nothing with."""
    return b"%PDF-1.4\n" + b"".join(
        b"%d 0 obj\n<< /Length 4000 >>\nstream\n%b\nendstream\nendobj\n"
        % (i, rng.randbytes(4000)) for i in range(50))


SUBJECTS = ((json_text, frames.TEXT), (bitmap, frames.BINARY),
            (prose, frames.TEXT), (html, frames.TEXT), (pdf, frames.BINARY))
OFFERS = (
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9, "
    "permessage-deflate; server_no_context_takeover, permessage-deflate",
)


class Deflated:
    """Compressed messages, one at a time; scale is the part of the 1000 that
    is sent."""

    def __init__(self, number, offer, subject, opcode, shape):
        self.number, self.offer = number, offer
        self.subject, self.opcode = subject, opcode
        self.size, self.fragment = shape

    def count(self, limit_bytes):
        """How many messages make about so many octets."""
        if limit_bytes is None:
            return 1000
        return max(8, min(1000, limit_bytes // self.size))

    def run(self, ws, limit_bytes=None):
        params = parameters(ws.field("Sec-WebSocket-Extensions"))
        assert params is not None, "UNIMPLEMENTED: the extension was declined"
        check_answer(self.offer, params)
        out = frames.Deflater(
            "client_no_context_takeover" not in params,
            int(params.get("client_max_window_bits") or 15))
        back = frames.Inflater(
            "server_no_context_takeover" not in params,
            int(params.get("server_max_window_bits") or 15))
        data = corpus(self.subject)
        for i in range(self.count(limit_bytes)):
            at = i * 61 % (len(data) - self.size)
            self.round_trip(ws, data[at:at + self.size], out, back)
        CLEANLY.play(ws)

    def round_trip(self, ws, payload, out, back):
        packed = out.message(payload)
        ws.send(b"".join(frames.fragments(
            self.opcode, packed, self.fragment or len(packed), rsv=4)))
        f = ws.frame()
        assert f is not None, "ended before the echo"
        assert f.fin and f.opcode == self.opcode and f.rsv in (0, 4), f[:3]
        echoed = back.message(f.payload) if f.rsv else f.payload
        assert echoed == payload


def parameters(answer):
    """{name: value or None} of an accepted extension, or None."""
    if not answer:
        return None
    name, *params = (p.strip() for p in answer.split(";"))
    assert name == "permessage-deflate", answer
    pairs = [p.partition("=")[::2] for p in params]
    assert len(dict(pairs)) == len(pairs), answer
    return {k: v.strip('"') or None for k, v in pairs}


def check_answer(offer, params):
    """RFC 7692 7.1: what may be answered, and what has to be."""
    first = offer.split(",")[0]
    if "server_no_context_takeover" in first:
        assert "server_no_context_takeover" in params
    for bits in ("9", "15"):
        if f"server_max_window_bits={bits}" in first:
            assert int(params["server_max_window_bits"]) <= int(bits)
    assert "client_max_window_bits" not in params, "it was not offered"


CORPORA = {}


def corpus(subject):
    if subject not in CORPORA:
        data = subject(random.Random(subject.__name__))
        assert len(data) > 150 * KIB, (subject.__name__, len(data))
        CORPORA[subject] = data
    return CORPORA[subject]


def deflated():
    """All of them: 12 by what is sent, 13 by what is offered."""
    for at, (subject, opcode) in enumerate(SUBJECTS, 1):
        for i, shape in enumerate(SHAPES, 1):
            yield Deflated(f"12.{at}.{i}", OFFERS[0], subject, opcode, shape)
    for at, offer in enumerate(OFFERS, 1):
        for i, shape in enumerate(SHAPES, 1):
            yield Deflated(f"13.{at}.{i}", offer, *SUBJECTS[0], shape)


def cases():
    """Those that need no extension."""
    for make in (messages, pings, reserved_bits, reserved_opcodes, fragmented,
                 utf8_fragments, utf8_at_once, utf8_texts, utf8_edges, closing,
                 closing_codes, large, many):
        yield from make()
