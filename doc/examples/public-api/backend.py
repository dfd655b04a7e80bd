"""Exchange rates, as a service has them that knows nothing of streams."""

import random
import sys
import time

sys.path.insert(0, sys.path[0] + "/..")
from serve import get, run  # noqa: E402


@get("/rates")
def rates(request):
    minute = int(time.time() / 5)  # of a demo
    dice = random.Random(minute)
    return {"minute": minute, "base": "EUR",
            "rates": {c: round(dice.uniform(.8, 1.4), 4)
                      for c in ("USD", "GBP", "CHF", "SEK")}}


run()
