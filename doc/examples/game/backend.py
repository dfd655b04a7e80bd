"""A world of bouncing dots: 60 times a second all positions are published as
octets, and players push their dot about.

    backend.py PORT [ADMIN-PORT]"""

import http.client
import random
import struct
import sys
import threading
import time

sys.path.insert(0, sys.path[0] + "/..")
from serve import post, run  # noqa: E402

ADMIN = int(sys.argv[2]) if len(sys.argv) > 2 else 8081
DOTS = 24
dots = [[random.random(), random.random(), random.uniform(-.3, .3),
         random.uniform(-.3, .3)] for _ in range(DOTS)]
players = {}  # Penstock-Client to a dot


@post("/input")
def pushed(request):
    """Two signed octets: where to.  The answer, which dot, is for that player."""
    client = request.headers["Penstock-Client"]
    mine = players.setdefault(client, len(players) % DOTS)
    dot = dots[mine]
    x, y = struct.unpack("bb", request.content[:2])
    dot[2] += x / 400
    dot[3] += y / 400
    return {"dot": mine}


def step(seconds):
    for dot in dots:
        for axis in (0, 1):
            dot[axis] += dot[axis + 2] * seconds
            if not 0 <= dot[axis] <= 1:
                dot[axis] = min(1, max(0, dot[axis]))
                dot[axis + 2] *= -.9
            dot[axis + 2] = max(-.8, min(.8, dot[axis + 2]))


def frame(tick):
    """Little-endian: the tick, then two 16-bit positions for each dot."""
    places = [int(c * 65535) for dot in dots for c in dot[:2]]
    return struct.pack(f"<I{len(places)}H", tick & 0xffffffff, *places)


def publish():
    connection, tick, due = None, 0, time.monotonic()
    while True:
        tick, due = tick + 1, due + 1 / 60
        step(1 / 60)
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", ADMIN)
            connection.request("POST", "/channels/world", frame(tick),
                               {"Content-Type": "application/octet-stream"})
            connection.getresponse().read()
        except OSError:
            connection = None
            time.sleep(.2)
        time.sleep(max(0, due - time.monotonic()))


threading.Thread(target=publish, daemon=True).start()
run()
