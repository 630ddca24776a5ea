"""An archive in memory with the calls of `vna.services.archive.Archive`: for tests of a way in."""

import hashlib
import json

from vna.errors import NotFound
from vna.settings import Settings


class FakeFile:
    def __init__(self, data):
        self.data = data
        self.size = len(data)
        self.digest = hashlib.sha256(data).hexdigest()
        self.transfer_syntax_uid = "1.2.840.10008.1.2.1"
        self.reads = []
        self.places = {}

    async def locate(self, path, *, pixels=False):
        return self.places.get(path)

    async def read(self, offset, length):
        self.reads.append((offset, length))
        return self.data[offset : offset + length]

    async def transcode(self, transfer_syntax_uid, options=None, is_gone=None):
        return FakeTranscoding(transfer_syntax_uid.encode() + self.data)


class FakeTranscoding:
    def __init__(self, data):
        self.length = len(data)
        self.left = data

    async def read(self, length):
        piece, self.left = self.left[:length], self.left[length:]
        return piece


class FakeUpload:
    """A body that is one file, whatever it holds."""

    max_held_bytes = 1 << 20
    not_stored = 0
    has_more = False
    is_over = False
    received = 0

    def __init__(self, archive, caller):
        self.archive = archive
        self.caller = caller
        self.body = b""

    async def push(self, chunk):
        self.body += chunk

    async def finish(self, tell_all=False):
        return await self.archive.store(self.body, self.caller)


class FakeArchive:
    def __init__(self, settings=None):
        self.settings = settings or Settings()
        self.files = {}
        self.callers = []
        self.asked = []
        self.is_ready = True
        self.recycles = False
        self.opened = []
        self.remembered = []

    async def store(self, data, caller):
        public_id = hashlib.sha1(data).hexdigest()
        status = "AlreadyStored" if public_id in self.files else "Success"
        self.files[public_id] = data
        self.callers.append(caller)
        return json.dumps({"ID": public_id, "Status": status}).encode()

    def upload(self, caller, content_type, content_encoding, length):
        return FakeUpload(self, caller)

    def open_file(self, public_id, caller):
        self.resource("instances", public_id, caller)
        self.opened.append(FakeFile(self.files[public_id]))
        return self.opened[-1]

    def resource(self, level, public_id, caller):
        if level != "instances" or public_id not in self.files:
            raise NotFound(f"{public_id} is none of the {level}")
        return json.dumps({"ID": public_id, "Type": "Instance"}).encode()

    async def delete(self, level, public_id, caller):
        self.resource(level, public_id, caller)
        del self.files[public_id]
        return b'{"RemainingAncestor":null}'

    async def _recorded(self, caller, *call):
        self.callers.append(caller)
        self.asked.append(call)
        return b"[]"

    async def tags(self, level, public_id, request, caller):
        return await self._recorded(caller, "tags", level, public_id, request)

    async def model(self, public_id, model, bulk_uri, caller):
        return await self._recorded(caller, "model", public_id, model, bulk_uri)

    async def resources(self, level, since, limit, options, caller):
        return await self._recorded(caller, "resources", level, since, limit, options)

    async def related(self, level, public_id, related_level, options, caller):
        return await self._recorded(caller, "related", level, public_id, related_level, options)

    async def resource_statistics(self, level, public_id, caller):
        return await self._recorded(caller, "resource_statistics", level, public_id)

    async def metadata(self, level, public_id, expand, numeric, caller):
        return await self._recorded(caller, "metadata", level, public_id, expand, numeric)

    async def changes(self, since, to, limit, types, last, caller):
        return await self._recorded(caller, "changes", since, to, limit, types, last)

    def statistics(self, caller):
        raise RuntimeError("a defect, not a refusal")

    def authenticate_http(self, required):
        self.asks_who = required

    def remember_http(self, authorization, user, time_s):
        self.remembered.append((authorization, user.tenant))

    def metrics(self):
        return b"vna_instances 0\n"

    def health(self):
        return json.dumps({"ready": self.is_ready}).encode()
