"""Remote nodes: DCMTK's programs, pynetdicom, and a network that can be cut between us and them."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from pynetdicom import AE
from support_ports import free_port

START_S = 60


def reachable(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Dcmtk:
    """One of DCMTK's servers, until the end of a `with`."""

    def __init__(self, name, port, arguments, folder):
        program = shutil.which(name)
        assert program, f"{name} is missing; it comes with the package dcmtk"
        self.port = port
        self.log = (Path(folder) / f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            [program, *map(str, arguments)],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            # DCMTK's own switch; without it answers wait 40 ms for a delayed acknowledgement.
            env=os.environ | {"TCP_NODELAY": "1"},
        )
        end = time.monotonic() + START_S
        while not reachable(port):
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.01)

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


def storescp(folder, *options):
    """Run one that writes what it gets to files below `folder`, as it comes."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return Dcmtk("storescp", port, [*options, "-od", folder, port], folder)


def dcmqrscp(folder, move_destination_port):
    """Run one that keeps what it gets, calls itself QRSCP and knows us as VNA."""
    (folder / "db").mkdir(parents=True, exist_ok=True)
    port = free_port()
    configuration = folder / "dcmqrscp.cfg"
    lines = (
        f"NetworkTCPPort = {port}",
        "MaxPDUSize = 16384",
        "MaxAssociations = 16",
        "HostTable BEGIN",
        f"vna = (VNA, 127.0.0.1, {move_destination_port})",
        "HostTable END",
        "VendorTable BEGIN",
        "VendorTable END",
        "AETable BEGIN",
        f"QRSCP {folder / 'db'} RW (5000, 1024mb) ANY",
        "AETable END",
    )
    configuration.write_text("\n".join(lines) + "\n")
    return Dcmtk("dcmqrscp", port, ["-c", configuration], folder)


def wlmscpfs(folder):
    """Run one that serves the worklist files of `folder`/WL."""
    port = free_port()
    return Dcmtk("wlmscpfs", port, ["-dfr", "-dfp", folder, port], folder)


@contextlib.contextmanager
def node_of_pynetdicom(contexts, handlers, ae_title="PEER"):
    """Run one on pynetdicom; gives its port."""
    entity = AE(ae_title)
    for context in contexts:
        entity.add_supported_context(*context) if isinstance(
            context, tuple
        ) else entity.add_supported_context(context)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


class Wire:
    """A way to a port of this machine that can be cut, and is whole again afterwards."""

    def __init__(self, port):
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def cut(self):
        """Let all connections end as if a cable were pulled and plugged in again."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self.cut()
