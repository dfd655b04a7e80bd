"""Backends of all kinds that can be killed at any time, for one test: each says
numbers, and knows after a restart what it had been told before.

    k = KINDS["couchdb"]
    b = k(directory); b.start(); b.say(1); b.kill(); b.start(); b.stop()
    b.config()        # of a penstock with the route /k
    k.promise         # "all", "told" or "newest"
    k.number(data)    # which number a message is; None: none"""

import json
import os
import pathlib
import signal
import subprocess
import sys

import programs
import raw
import servers

LIB = pathlib.Path(__file__).parent
ALL_OF_IT = {"messages": 100000}
QUICK = {"min": "10ms", "max": "30ms"}


class Killed:
    """promise: what readers may count on: that they get all; or that they get
    all or are told of a gap; or that they get the newest."""

    promise = "all"
    modules = ()
    keys = {}
    needs = ()  # marks

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.log = self.directory / "log"
        self.port = raw.free_port()
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def config(self):
        return {"modules": list(self.modules), "backends": {"app": self.url},
                "routes": [{"path": "/k", "history": ALL_OF_IT, "source": {
                    "when": "always", "backoff": QUICK, **self.source},
                    **self.keys}]}

    def say(self, n):
        with self.log.open("a") as f:
            f.write(f"{n}\n")

    def command(self):
        return [sys.executable, str(LIB / "speaker.py"), self.mode,
                str(self.port), str(self.log), str(self.directory / "floor")]

    def start(self):
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, env=os.environ | {
                "PENSTOCK_NODE": programs.node_directory()})
        self.wait_up()

    def wait_up(self):
        raw.wait_for(self.answers, 20, "the backend's start")

    def answers(self):
        assert self.process.poll() is None, "the backend has ended"
        try:
            raw.Client(self.port, timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    stop = kill

    @staticmethod
    def number(data):
        return int(data)


class Couchdb(Killed):
    mode = "couch"
    source = {"longpoll": "app/db/_changes?feed=longpoll", "cursor": "/last_seq",
              "select": "/results"}

    @staticmethod
    def number(data):
        return int(json.loads(data)["id"])


class CouchdbContinuous(Couchdb):
    mode = "continuous"
    source = {"ndjson": "app/db/_changes?feed=continuous", "cursor": "/seq"}

    @staticmethod
    def number(data):
        change = json.loads(data)
        return int(change["id"]) if "seq" in change else None


class Kubernetes(Killed):
    mode = "watch"
    source = {"ndjson": "app/api/v1/pods?watch=1&allowWatchBookmarks=true",
              "cursor": "/object/metadata/resourceVersion",
              "param": "resourceVersion", "lost": "/object/code",
              "transform": {"event": "/type"}}

    @staticmethod
    def number(data):
        event = json.loads(data)
        return (int(event["object"]["metadata"]["name"])
                if event["type"] == "ADDED" else None)

    def forget(self, n):
        (self.directory / "floor").write_text(str(n))


class KubernetesUnplaced(Kubernetes):
    """The same without being asked for a place: it begins again with what there
    is, and what was had of that is known by its id."""
    promise = "told"
    source = {"ndjson": "app/api/v1/pods?watch=1",
              "transform": {"id": "/object/metadata/resourceVersion"}}


class NginxGzip(Killed):
    """Server-sent events that nginx compresses; any of the two is killed."""
    mode = "sse"
    needs = ("nginx",)
    source = {"sse": "app/stream", "compress": True}

    def __init__(self, directory):
        super().__init__(directory)
        self.behind = self.port
        self.nginx = servers.Nginx(directory, f"""
            location / {{
                proxy_pass http://127.0.0.1:{self.behind};
                proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_buffering off;
                gzip on; gzip_types text/event-stream; gzip_proxied any;
                gzip_http_version 1.1; gzip_min_length 1;
            }}""")
        self.turn = 0

    @property
    def url(self):
        return self.nginx.url

    def start(self):
        if self.process is None or self.process.poll() is not None:
            super().start()
        if self.turn % 2 == 0:
            self.nginx.start()
        self.turn += 1

    def kill(self):
        if self.turn % 2 == 0:
            self.nginx.process.kill()
            self.nginx.process.wait()
        else:
            super().kill()

    def stop(self):
        for process in (self.nginx.process, self.process):
            process.kill()
            process.wait()


class NodeWs(Killed):
    promise = "told"
    needs = ("node",)
    source = {"websocket": "app/feed", "compress": True}

    def command(self):
        return ["node", str(LIB / "speaker_ws.mjs"),
                json.dumps({"port": self.port, "log": str(self.log)})]


class Resource(Killed):
    """A file that nginx serves; it holds the newest number."""
    promise = "newest"
    needs = ("nginx",)
    source = {"poll": "app/now.json", "every": "20ms"}
    file = "now.json"

    def __init__(self, directory):
        super().__init__(directory)
        self.nginx = servers.Nginx(directory, "", self.port)
        self.numbers = []

    def say(self, n):
        self.numbers.append(n)
        fresh = self.nginx.www / "fresh"
        # nginx's ETag is the second and the length.
        fresh.write_text(self.text() + " " * (n % 60))
        fresh.rename(self.nginx.www / self.file)

    def text(self):
        return str(self.numbers[-1])

    def start(self):
        self.nginx.start()
        self.process = self.nginx.process


class List(Resource):
    """The same with all of them in it, each with its key."""
    promise = "all"
    source = {"poll": "app/all.json", "every": "20ms", "select": "/items",
              "each": "/id"}
    file = "all.json"

    def text(self):
        return json.dumps({"items": [{"id": n} for n in self.numbers]})

    @staticmethod
    def number(data):
        return json.loads(data)["id"]


class Publisher(Killed):
    """It is the one that connects; penstock is asked for the port."""
    source = {"publish": True}

    def config(self):
        return {"routes": [{"path": "/k", "history": ALL_OF_IT,
                            "source": "publish"}]}

    def command(self):
        return [sys.executable, str(LIB / "publisher.py"), str(self.penstock.admin_port),
                "k", str(self.log)]

    def start(self):
        if hasattr(self, "penstock"):
            super().start()

    def wait_up(self):
        pass


class Redis(Killed):
    promise = "told"
    needs = ("redis",)
    modules = ("redis",)
    source = {"redis": "app", "subscribe": "numbers"}

    def __init__(self, directory):
        super().__init__(directory)
        self.redis = servers.Redis(directory)

    @property
    def url(self):
        return self.redis.url

    def start(self):
        self.redis.start()
        self.process = self.redis.process

    def say(self, n):
        """Lost where there is nobody to tell it to."""
        try:
            self.redis("PUBLISH", "numbers", n)
        except (OSError, RuntimeError):
            pass


class RedisPattern(Redis):
    source = {"redis": "app", "psubscribe": "num*"}


class RedisStream(Redis):
    """Whoever adds an entry does it until it is there: its id says whether."""
    promise = "all"
    source = {"redis": "app", "stream": "numbers", "from": "0"}

    def say(self, n):
        def added():
            try:
                self.redis("XADD", "numbers", f"1-{n}", "data", n)
            except RuntimeError as e:
                return b"equal or smaller" in e.args[0]
            except OSError:
                return False
            return True
        raw.wait_for(added, 30, "an entry")


KINDS = {
    "sse, compressed by nginx": NginxGzip,
    "ndjson, a Kubernetes watch": Kubernetes,
    "ndjson, the same without a cursor": KubernetesUnplaced,
    "ndjson, CouchDB's continuous changes": CouchdbContinuous,
    "websocket, node's ws": NodeWs,
    "poll, a file of nginx": Resource,
    "poll, each item of a list": List,
    "longpoll, CouchDB's changes": Couchdb,
    "redis, subscribe": Redis,
    "redis, psubscribe": RedisPattern,
    "redis, stream": RedisStream,
    "publish": Publisher,
}
