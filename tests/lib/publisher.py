"""A backend that publishes, and may be killed at any time: publisher.py PORT
CHANNEL LOG.  Each line of LOG is a message whose number is its Idempotency-Key;
what has been taken is kept in LOG.taken, where a new one goes on."""

import http.client
import pathlib
import sys
import time

port, channel, log = sys.argv[1:]
log = pathlib.Path(log)
taken = log.with_suffix(".taken")


def lines():
    text = log.read_text() if log.exists() else ""
    return text[:text.rfind("\n") + 1].splitlines()


at = int(taken.read_text()) if taken.exists() else 0
connection = http.client.HTTPConnection("127.0.0.1", int(port))
while True:
    for line in lines()[at:]:
        connection.request("POST", f"/channels/{channel}", line, {
            "Content-Type": "text/plain", "Idempotency-Key": f"n{at + 1}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
        at += 1
        fresh = taken.with_suffix(".new")
        fresh.write_text(str(at))
        fresh.rename(taken)
    time.sleep(.003)
