"""A house: its sensors report five times a second, its lamp and fan obey."""

import json
import random
import sys
import time

sys.path.insert(0, sys.path[0] + "/..")
from serve import get, post, run  # noqa: E402

house = {"temperature": 21.0, "humidity": 45.0, "motion": False,
         "lamp": False, "fan": False}


@get("/readings")
def readings(request):
    yield "application/x-ndjson"
    while True:
        house["temperature"] += random.uniform(-.08, .1) - (.08 if house["fan"] else 0)
        house["humidity"] += random.uniform(-.4, .4)
        house["motion"] = random.random() < .15
        yield json.dumps({**house, "temperature": round(house["temperature"], 2),
                          "humidity": round(house["humidity"], 1),
                          "at": round(time.time() * 1000)}) + "\n"
        time.sleep(.2)


@post("/commands")
def command(request):
    wish = request.json()
    house[wish["device"]] = bool(wish["on"])
    return {"done": wish["device"], "on": house[wish["device"]]}


run()
