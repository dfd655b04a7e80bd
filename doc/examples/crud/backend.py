"""A REST collection that knows nothing of streams."""

import itertools
import json
import sys

sys.path.insert(0, sys.path[0] + "/..")
from serve import get, on, post, run  # noqa: E402

ids = itertools.count(1)
users = {}


@get("/users")
def all_users(request):
    return list(users.values())


@post("/users")
def create(request):
    user = {"id": next(ids), "name": request.json()["name"]}
    users[user["id"]] = user
    request.answer(201, json.dumps(user).encode(),
                   Location=f"/users/{user['id']}")
    return ...


@on("PUT", r"/users/(\d+)")
def change(request, id):
    users[int(id)]["name"] = request.json()["name"]
    return users[int(id)]


@on("DELETE", r"/users/(\d+)")
def delete(request, id):
    users.pop(int(id), None)


run()
