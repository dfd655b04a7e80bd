"""Other people's servers, started for a test: nginx, Redis, HAProxy.

    with Nginx(directory, locations="location / { root www; }") as n:
        n.url"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

import raw

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
REDIS = shutil.which("redis-server")
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def have_nginx():
    return bool(NGINX)


def have_redis():
    return bool(REDIS)


def have_haproxy():
    return bool(HAPROXY)


class Nginx:
    """A stock nginx of one worker, in a directory of its own."""

    def __init__(self, directory, locations, port=None):
        self.directory = pathlib.Path(directory)
        self.port = port or raw.free_port()
        self.www = self.directory / "www"
        self.www.mkdir(exist_ok=True)
        self.directory.chmod(0o755)
        self.config = self.directory / "nginx.conf"
        user = "user root;" if os.getuid() == 0 else ""
        self.config.write_text(f"""
            daemon off; master_process off; {user}
            pid {self.directory}/nginx.pid; error_log stderr warn;
            events {{ worker_connections 4096; }}
            http {{
                types {{ application/json json; text/html html; }}
                default_type application/octet-stream;
                access_log {self.directory}/access.log;
                client_body_temp_path {self.directory}/body;
                proxy_temp_path {self.directory}/proxy;
                fastcgi_temp_path {self.directory}/fastcgi;
                uwsgi_temp_path {self.directory}/uwsgi;
                scgi_temp_path {self.directory}/scgi;
                server {{
                    listen 127.0.0.1:{self.port};
                    root {self.www};
                    {locations}
                }}
            }}""")

    def start(self):
        self.process = subprocess.Popen(
            [NGINX, "-p", str(self.directory), "-c", str(self.config)],
            stdin=subprocess.DEVNULL)
        raw.wait_for(self.answers, 20, "nginx")
        return self

    def answers(self):
        assert self.process.poll() is None, "the server has ended"
        try:
            raw.Client(self.port, timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Redis:
    """A redis-server with nothing on disk but what keeps it over a kill()."""

    def __init__(self, directory, *options):
        self.directory = pathlib.Path(directory)
        self.port = raw.free_port()
        self.socket = self.directory / "redis.sock"
        self.options = options
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [REDIS, "--port", str(self.port), "--bind", "127.0.0.1",
             "--unixsocket", str(self.socket), "--dir", str(self.directory),
             "--save", "", "--appendonly", "yes", "--appendfsync", "always",
             "--enable-debug-command", "yes", *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        raw.wait_for(self.answers, 20, "redis-server")
        return self

    restart = start

    def answers(self):
        assert self.process.poll() is None, "redis-server has ended"
        try:
            return b"LOADING" not in self("PING", error=True)
        except OSError:
            return False

    def __call__(self, *words, error=False):
        """One command on a connection of its own.  Arrays come as lists; error:
        an error is given back, not raised."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as s, \
                s.makefile("rb") as answer:
            words = [w if isinstance(w, bytes) else str(w).encode()
                     for w in words]
            s.sendall(b"*%d\r\n" % len(words) + b"".join(
                b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
            reply = self.reply(answer)
        if isinstance(reply, Exception) and not error:
            raise reply
        return reply.args[0] if isinstance(reply, Exception) else reply

    def reply(self, answer):
        line = answer.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis-server has closed")
        line = line.removesuffix(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            return RuntimeError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else answer.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply(answer) for _ in range(max(0, int(rest)))]
        return rest

    def wait_subscribed(self, *channels):
        raw.wait_for(lambda: all(
            n > 0 for n in self("PUBSUB", "NUMSUB", *channels)[1::2]), 10,
            "a subscription")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    stop = kill

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class HAProxy:
    """config with its ports replaced: {"8080": port, ...}."""

    def __init__(self, directory, config, ports):
        for usual, port in ports.items():
            config = config.replace(f":{usual}", f":{port}")
        self.file = pathlib.Path(directory) / "haproxy.cfg"
        self.file.write_text(config)
        self.port = ports["8080"]

    def start(self):
        self.process = subprocess.Popen([HAPROXY, "-db", "-f", str(self.file)],
                                        stdin=subprocess.DEVNULL)
        raw.wait_for(self.answers, 20, "haproxy")
        return self

    answers = Nginx.answers

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
