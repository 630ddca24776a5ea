"""Archives in this process that send, peers that take it, and a network that can be cut."""

import asyncio
import contextlib
import json
import socket
import subprocess
import threading
from collections import Counter

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import load

CALLER = Caller(way_in="python")


@contextlib.asynccontextmanager
async def open_archive(root, **flags):
    """Open an archive on the running loop."""
    archive = Archive(load(environment={}, flags={"storage.root": str(root), **flags}))
    archive.attach()
    try:
        yield archive
    finally:
        await archive.stop(5)
        archive.detach()


async def store_all(archive, files):
    """Store files and return their public ids."""
    return [json.loads(await archive.store(file, CALLER))["ID"] for file in files]


async def sent(archive, sending):
    """Wait for the end of a batch and return its progress."""
    progress = json.loads(sending.progress())
    while not progress["done"]:
        seen = progress["completed"] + progress["warning"] + progress["failed"]
        await archive.result(sending.wait(seen))
        progress = json.loads(sending.progress())
    return progress


class Receiver:
    """A pynetdicom storage SCP that remembers what it took."""

    def __init__(self, syntaxes=ALL_TRANSFER_SYNTAXES, status=0x0000, title="SINK", **options):
        self.taken = []
        self.associations = 0
        self.status = status
        self.lock = threading.Lock()
        self.called = threading.Event()
        self.entity = AE(ae_title=title)
        self.entity.maximum_pdu_size = options.pop("max_pdu", 16384)
        self.entity.maximum_associations = options.pop("maximum_associations", 64)
        if options.pop("require_called", False):
            self.entity.require_called_aet = True
        classes = options.pop("sop_classes", None)
        for context in AllStoragePresentationContexts:
            if classes is None or context.abstract_syntax in classes:
                self.entity.add_supported_context(context.abstract_syntax, list(syntaxes))
        self.entity.add_supported_context("1.2.840.10008.1.1")
        self.tls = options.pop("tls", None)

    def __enter__(self):
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._accepted)]
        self.server = self.entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=self.tls
        )
        self.port = self.server.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def _accepted(self, event):
        with self.lock:
            self.associations += 1

    def _store(self, event):
        with self.lock:
            self.taken.append(
                (
                    str(event.request.AffectedSOPInstanceUID),
                    str(event.context.transfer_syntax),
                    event.request.DataSet.getvalue(),
                    event.request.MoveOriginatorApplicationEntityTitle,
                    event.request.MoveOriginatorMessageID,
                )
            )
        self.called.set()
        return self.status(event) if callable(self.status) else self.status

    def uids(self):
        """Count how often each instance was taken."""
        with self.lock:
            return Counter(uid for uid, *_ in self.taken)

    def spec(self, **more):
        """How the core is to call it."""
        return spec(self.port, **more)


def spec(port, **more):
    """Specification of a peer on this machine."""
    described = {
        "host": "127.0.0.1",
        "port": port,
        "calling_ae_title": "VNA",
        "called_ae_title": "SINK",
        "timeout_s": 10,
    }
    return described | more


def encode(described):
    """Return JSON as the core reads it."""
    return json.dumps(described).encode()


class Proxy:
    """Hands a connection on to a port, and can cut it: after so many bytes, or all at once."""

    def __init__(self, port, cut_after=()):
        self.port_behind = port
        self.cuts = list(cut_after)
        self.connections = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        left = self.cuts.pop(0) if self.cuts else None
        there, back = await asyncio.open_connection("127.0.0.1", self.port_behind)

        async def forward():
            nonlocal left
            while data := await reader.read(65536):
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                back.write(data)
                await back.drain()
                if left == 0:
                    break

        async def backward():
            while data := await there.read(65536):
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.ensure_future(forward()), asyncio.ensure_future(backward())]
        with contextlib.suppress(ConnectionError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, back):
            end.transport.abort()


class Silent:
    """Accepts connections, and says nothing."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.socket.close()


def certify(folder, name, authority=None, *more):
    """Make a key and a certificate with openssl; returns their files.

    Without an authority it signs itself, as departments do it.
    """
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    signed = ["-CA", authority[0], "-CAkey", authority[1]] if authority else []
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate),
            *signed,
            *more,
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
