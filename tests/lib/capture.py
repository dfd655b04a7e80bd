"""What went over loopback, seen by tcpdump: octets of TCP payload of one port,
each counted once however often it was sent.

    with Capture(port) as c:
        ...
    c.to_server, c.from_server, c.segments"""

import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import threading

from raw import wait_for

TCPDUMP = shutil.which("tcpdump") or shutil.which("tcpdump", path="/usr/sbin")
SNAP = 128  # headers; lengths are in them


def why_not():
    """Why there can be no capture here; None if there can."""
    if not TCPDUMP:
        return "tcpdump is not there"
    done = subprocess.run([TCPDUMP, "-i", "lo", "-c", "1", "-d"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        return f"tcpdump may not capture: {done.stderr.strip()[-200:]}"
    return None


class Capture:
    def __init__(self, port):
        self.port = port
        self.folder = tempfile.TemporaryDirectory(prefix="capture-")
        self.file = pathlib.Path(self.folder.name, "lo.pcap")

    def __enter__(self):
        self.process = subprocess.Popen(
            [TCPDUMP, "-i", "lo", "-n", "-U", "--immediate-mode", "-s",
             str(SNAP), "-B", "65536", "-Z", "root", "-w", str(self.file),
             f"tcp port {self.port}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = []
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()
        try:
            wait_for(self.listens, 10, "tcpdump")
        except BaseException:
            self.end()
            raise
        return self

    def follow(self):
        with self.process.stderr as pipe:
            self.said += pipe

    def listens(self):
        assert self.process.poll() is None, self.said
        return any("listening on" in line for line in self.said)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.thread.join(5)

    def __exit__(self, kind, *_):
        sizes = [-1]

        def still():
            sizes.append(self.file.stat().st_size)
            return len(sizes) > 30 and len(set(sizes[-20:])) == 1
        wait_for(still, 20, "the last packets")
        self.end()
        if kind is None:
            self.count()
        self.folder.cleanup()

    def dropped(self):
        return any(line.endswith("dropped by kernel\n")
                   and not line.startswith("0 ") for line in self.said)

    def count(self):
        assert not self.dropped(), self.said
        self.to_server = self.from_server = self.segments = 0
        ends = {}  # of each direction of a connection: octets up to where
        for flow, begin, size, syn in segments(self.file.read_bytes()):
            if syn:
                ends[flow] = (begin + 1) & 0xffffffff
                continue
            self.segments += 1
            if flow not in ends or size == 0:
                continue
            new = (begin + size - ends[flow]) & 0xffffffff
            if new >= 1 << 31:  # all of it has been there
                continue
            ends[flow] = (begin + size) & 0xffffffff
            if flow[1][1] == self.port:
                self.to_server += new
            else:
                self.from_server += new


def segments(pcap):
    """((source, destination), sequence number, octets, SYN) of each segment
    in a pcap file of Ethernet frames."""
    magic, = struct.unpack_from("<I", pcap)
    assert magic in (0xa1b2c3d4, 0xa1b23c4d), "not a pcap file of this order"
    kind, = struct.unpack_from("<I", pcap, 20)
    assert kind == 1, f"link type {kind}"
    at = 24
    while at + 16 <= len(pcap):
        kept, = struct.unpack_from("<I", pcap, at + 8)
        frame = pcap[at + 16:at + 16 + kept]
        at += 16 + kept
        if frame[12:14] != b"\x08\x00":
            continue
        ip = frame[14:]
        head = (ip[0] & 15) * 4
        whole, = struct.unpack_from(">H", ip, 2)
        tcp = ip[head:]
        source, target, begin = struct.unpack_from(">HHI", tcp)
        offset = (tcp[12] >> 4) * 4
        yield (((ip[12:16], source), (ip[16:20], target)), begin,
               whole - head - offset, bool(tcp[13] & 2))
