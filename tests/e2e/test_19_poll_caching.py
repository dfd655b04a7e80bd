"""The poll as a REST resource that caches may keep."""

import json
import time
import urllib.error
import urllib.request

import pytest


def get(p, target, **headers):
    request = urllib.request.Request(p.url(target), headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.status, answer.headers, answer.read()


def news(**keys):
    return {"routes": [{"path": "/news", "source": "publish", **keys}]}


def test_a_full_page_of_history_may_be_kept_for_ever(penstock):
    p = penstock(news(batch={"messages": 2}))
    ids = [p.publish("news", str(n)) for n in range(5)]
    start = ids[0].rsplit("-", 1)[0] + "-0"
    pages, cursor, kept = [], start, []
    while not pages or pages[-1]["messages"]:
        _, headers, body = get(p, f"/news?since={cursor}")
        pages.append(json.loads(body))
        kept.append("immutable" in headers["Cache-Control"])
        cursor = pages[-1]["next"]
    assert [[m["id"] for m in page["messages"]] for page in pages] == [
        ids[0:2], ids[2:4], ids[4:], []]
    assert kept == [True, True, False, False]


def test_a_page_by_header_or_by_name_is_not_kept(penstock):
    p = penstock(news(batch={"messages": 1}))
    first = p.publish("news", "1")
    p.publish("news", "2")
    p.publish("news", "3")
    for target, headers in [("/news", {"Last-Event-ID": first}),
                            ("/news?since=oldest", {}), ("/news?since=-3", {})]:
        assert get(p, target, **headers)[1]["Cache-Control"] == "no-store"


@pytest.mark.parametrize("cache, control", [("0s", "no-cache"),
                                            ("90s", "max-age=90")])
def test_the_newest_is_kept_as_the_route_says(penstock, cache, control):
    p = penstock(news(cache=cache))
    p.publish("news", "1")
    assert get(p, "/news")[1]["Cache-Control"] == control


def test_auto_keeps_until_the_next_update_is_due(penstock):
    p = penstock(news(cache="auto"))
    p.publish("news", "1")
    assert get(p, "/news")[1]["Cache-Control"] == "no-cache"  # nobody knows
    began = time.monotonic()
    p.wait_for(lambda: time.monotonic() - began > 2.2, what="the second update")
    p.publish("news", "2")
    assert get(p, "/news")[1]["Cache-Control"] == "max-age=2"


def test_any_representation_will_do(penstock):
    p = penstock(news())
    p.publish("news", "1")
    with pytest.raises(urllib.error.HTTPError) as same:
        get(p, "/news", **{"If-None-Match": "*"})
    assert same.value.code == 304
