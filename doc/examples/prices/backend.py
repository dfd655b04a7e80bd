"""Prices that tick 25 times a second, and orders that are filled at once."""

import itertools
import json
import random
import sys
import threading
import time

sys.path.insert(0, sys.path[0] + "/..")
from serve import get, post, run  # noqa: E402

prices = {"AAPL": 150.0, "MSFT": 320.0, "ACME": 42.0}
orders = itertools.count(1)


def walk():
    while True:
        for symbol in prices:
            prices[symbol] = max(1, prices[symbol] * random.uniform(.9990, 1.0010))
        time.sleep(.04)


@get(r"/ticks/(\w+)")
def ticks(request, symbol):
    yield "text/event-stream"
    for number in itertools.count(1):
        tick = {"symbol": symbol, "price": round(prices[symbol], 2),
                "at": round(time.time() * 1000)}
        yield f"id: {number}\ndata: {json.dumps(tick)}\n\n"
        time.sleep(.04)


@post(r"/orders/(\w+)")
def order(request, symbol):
    wish = request.json()
    return {"filled": next(orders), "symbol": symbol, "side": wish["side"],
            "count": wish["count"], "price": round(prices[symbol], 2),
            "sent": wish.get("sent")}


threading.Thread(target=walk, daemon=True).start()
run()
