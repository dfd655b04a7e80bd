"""A forecast that changes now and then, as a plain REST resource."""

import random
import sys
import time

sys.path.insert(0, sys.path[0] + "/..")
from serve import get, run  # noqa: E402

EVERY_S = 10  # an hour, in a demo's time


@get("/forecast")
def forecast(request):
    hour = int(time.time() / EVERY_S)
    dice = random.Random(hour)
    return {"hour": hour, "degrees": round(dice.uniform(8, 24), 1),
            "sky": dice.choice(["Clear", "Cloudy", "Rain", "Wind"]),
            "next": [round(dice.uniform(8, 24), 1) for _ in range(6)]}


run()
