"""The HTTP way in over a real archive in this process, and bodies of every form."""

import asyncio
import io
import os
import zipfile

import httpx

from vna.rest.app import Application
from vna.services.archive import Archive
from vna.services.node import Node
from vna.settings import Settings, Storage, Uploads

BOUNDARY = "a boundary of ours"


class House:
    """One archive with its HTTP way in, on a loop of its own that runs while it is called."""

    def __init__(self, root, large=1 << 20, sections=None, **uploads):
        self.loop = asyncio.new_event_loop()
        storage = Storage(root=str(root), large_object_bytes=large)
        found = {"storage": storage, "uploads": Uploads(**uploads)} | (sections or {})
        self.settings = Settings(**found)
        self.loop.run_until_complete(self._open())

    async def _open(self):
        self.archive = Archive(self.settings)
        self.archive.attach()
        self.application = Application(Node(self.archive))
        transport = httpx.ASGITransport(self.application)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def post(self, body, path="/instances", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.loop.run_until_complete(self.http.post(path, content=body, headers=named))

    def get(self, path):
        return self.loop.run_until_complete(self.http.get(path))

    def file(self, public_id):
        return self.get(f"/instances/{public_id}/file").content

    def count(self):
        return self.get("/statistics").json()["CountInstances"]

    def close(self):
        self.loop.run_until_complete(self.archive.stop())
        self.loop.close()


def archive_of(*entries, method=zipfile.ZIP_DEFLATED, zip64=False, streamed=False):
    """Return a ZIP archive of (name, bytes); `streamed` puts sizes behind the entries."""
    target = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in entries:
            with archive.open(name, "w", force_zip64=zip64) as entry:
                entry.write(data)
    return bytes(target.sent) if streamed else target.getvalue()


class Pipe(io.RawIOBase):
    """A file that cannot be gone back in, so that sizes are written behind what they measure."""

    def __init__(self):
        self.sent = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.sent += data
        return len(data)


def form_of(*parts, kind="form-data"):
    """Return a multipart body of (name or None, bytes) and its Content-Type."""
    body = b""
    for number, (name, data) in enumerate(parts):
        body += f"--{BOUNDARY}\r\n".encode()
        if kind == "form-data":
            file_name = f'; filename="{name}"' if name else ""
            body += f'Content-Disposition: form-data; name="f{number}"{file_name}\r\n'.encode()
        body += b"Content-Type: application/dicom\r\n\r\n" + data + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    return body, f'multipart/{kind}; boundary="{BOUNDARY}"'


def left_behind(root):
    """Return the files of uploads that are not whole."""
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if os.path.basename(folder) in {"uploads", "incoming"}
    ]
