"""Other people's servers, started for a test: nginx.

    with Nginx(directory, locations="location / { root www; }") as n:
        n.url"""

import os
import pathlib
import shutil
import signal
import subprocess

import raw

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def have_nginx():
    return bool(NGINX)


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
        assert self.process.poll() is None, "nginx has ended"
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
