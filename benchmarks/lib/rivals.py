"""Other servers that do the same work, where they are installed.  Each is a
context manager: .pid, .publish_at (where messages go to), .publishing (what bench
has to be told for that), .reading(transport) = (URL, options)."""

import contextlib
import os
import pathlib
import shutil
import subprocess

import raw
import servers

from . import TOP, machine
from .lab import Missing

HERE = TOP / "benchmarks" / "rivals"
NCHAN = next((str(p) for p in map(pathlib.Path, (
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so")) if p.exists()), None)


class Program:
    def __init__(self, argv, port, others=(), **options):
        self.process = subprocess.Popen(
            [*machine.on_server_cpu(), *argv], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        self.pid, self.port = self.process.pid, port
        self.publishing = {}
        try:
            for p in (port, *others):
                raw.wait_for(lambda p=p: self.answers(p), 20, argv[0])
        except BaseException:
            self.stop()
            raise

    def answers(self, port):
        assert self.process.poll() is None, "it has ended"
        try:
            raw.Client(port, timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def at(self, path):
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def running(*args, **options):
    p = Program(*args, **options)
    try:
        yield p
    finally:
        p.stop()


# --- those there are -----------------------------------------------------------

@contextlib.contextmanager
def penstock(lab):
    with lab.penstock() as p:
        p.publish_at = f"http://127.0.0.1:{p.admin_port}/channels/n/a"
        p.publishing = {}
        p.reading = lambda transport: (f"http://127.0.0.1:{p.port}/n/a", {})
        yield p


@contextlib.contextmanager
def nchan(lab):
    if not (servers.have_nginx() and NCHAN):
        raise Missing("nginx with libnginx-mod-nchan")
    folder, port = lab.folder(), raw.free_port()
    conf = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    places = "".join(
        f"location = /{name} {{ nchan_subscriber {kind}; nchan_channel_id a; "
        "nchan_subscriber_first_message newest; }\n"
        for name, kind in (("websocket", "websocket"), ("sse", "eventsource"),
                           ("longpoll", "longpoll")))
    conf.write_text(f"""load_module {NCHAN};
daemon off; worker_processes 1; pid {folder}/pid; {user}
error_log {folder}/error.log warn; worker_rlimit_nofile 20000;
events {{ worker_connections 19500; multi_accept on; }}
http {{
    access_log off; keepalive_timeout 600s; keepalive_requests 100000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi; nchan_shared_memory_size 256M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /pub {{ nchan_publisher http; nchan_channel_id a;
            nchan_message_buffer_length 4096; nchan_message_timeout 60s; }}
        {places}
    }}
}}
""")
    with running([servers.NGINX, "-p", str(folder), "-c", str(conf)],
                 port) as p:
        p.publish_at = p.at("/pub")
        p.reading = lambda transport: (p.at(f"/{transport}"), {
            "cursor": "etag"} if transport == "longpoll" else {})
        yield p


def node_folder():
    """Where node finds the package ws."""
    for folder in (os.environ.get("PENSTOCK_NODE"), "node", "../node",
                   TOP / "build" / "node"):
        if folder and pathlib.Path(folder, "node_modules", "ws").is_dir():
            return pathlib.Path(folder).resolve()
    return None


@contextlib.contextmanager
def node(lab):
    folder = node_folder()
    if not (shutil.which("node") and folder):
        raise Missing("node with the package ws (PENSTOCK_NODE)")
    port = raw.free_port()
    with running(["node", str(HERE / "broadcast.mjs"), str(port)], port,
                 env=os.environ | {"NODE_FOLDER": str(folder)}) as p:
        p.publish_at = p.at("/pub")
        p.reading = lambda transport: (
            p.at({"websocket": "/ws", "sse": "/sse"}.get(transport, "/lp")),
            {})
        yield p


ITEM = ('{"items":[{"channel":"a","formats":{'
        '"http-stream":{"content":"data: {message}\\n\\n"},'
        '"ws-message":{"content":"{message}"}}}]}')


@contextlib.contextmanager
def pushpin(lab):
    if not (shutil.which("pushpin") and shutil.which("node")):
        raise Missing("pushpin and node")
    folder = lab.folder()
    port, origin, publish, *ports = (raw.free_port() for _ in range(6))
    for name in ("run", "log"):
        (folder / name).mkdir()
    (folder / "routes").write_text(f"* 127.0.0.1:{origin},over_http\n")
    (folder / "pushpin.conf").write_text(f"""[global]
include={{libdir}}/internal.conf
rundir={folder}/run
ipc_prefix=bench-
port_offset=0
stats_connection_ttl=120
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={folder}/log
log_level=0
client_buffer_size=8192
client_maxconn=19000
condure_bin=condure
zurl_bin=zurl
[proxy]
routesfile={folder}/routes
sig_key=none
updates_check=off
zurl_out_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in
zurl_out_stream_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in-stream
zurl_in_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-out
[handler]
push_in_spec=tcp://127.0.0.1:{ports[0]}
push_in_sub_specs=tcp://127.0.0.1:{ports[1]}
push_in_http_addr=127.0.0.1
push_in_http_port={publish}
push_in_http_max_headers_size=10000
push_in_http_max_body_size=1000000
stats_spec=ipc://{{rundir}}/{{ipc_prefix}}stats
command_spec=tcp://127.0.0.1:{ports[2]}
message_rate=0
message_hwm=100000000
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
subscription_linger=60
stats_subscription_ttl=60
stats_report_interval=0
stats_format=tnetstring
""")
    with running(["node", str(HERE / "hold.mjs"), str(origin)], origin), \
            running(["pushpin", f"--config={folder}/pushpin.conf"], port,
                    [publish], cwd=folder) as p:
        p.publish_at = f"http://127.0.0.1:{publish}/publish/"
        p.publishing = {"template": ITEM}
        p.reading = lambda transport: (
            p.at("/ws" if transport == "websocket" else "/sse"), {})
        yield p


ALL = {"penstock": penstock, "Nchan": nchan, "Pushpin": pushpin,
       "node, ws": node}
LACKS = {("Pushpin", "longpoll")}  # it has no cursor for a held answer
