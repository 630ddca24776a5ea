"""Remote nodes in memory, with the calls of `vna._core.Peer` and `vna._core.Sending`."""

import asyncio
import json

import msgspec
from fakes import FakeArchive

from vna import _core

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def encode(data_set):
    return _core.data_set_from_json(msgspec.json.encode(data_set), EXPLICIT_LITTLE)


def decode(data_set):
    return json.loads(_core.data_set_to_json(data_set, EXPLICIT_LITTLE))


class FakePeer:
    """One association with a node that answers by `answer(command, identifier)`.

    That yields (status and further command elements, identifier or None), or None to keep silent.
    """

    def __init__(self, specification, answer, refused=()):
        self.specification = specification
        self.answer = answer
        self.refused = refused
        self.asked = []
        self.ended = None
        self.cancelled = False
        self._answers = iter(())

    def open(self):
        contexts = [
            {
                "context_id": 2 * number + 1,
                "sop_class_uid": context["sop_class_uid"],
                "transfer_syntax_uid": context["transfer_syntaxes"][0],
            }
            for number, context in enumerate(self.specification["contexts"])
            if context["sop_class_uid"] not in self.refused
        ]
        return json.dumps({"contexts": contexts, "max_pdu_bytes": 16384}).encode()

    def request(self, sop_class_uid, command, data_set=None):
        command = json.loads(command)
        identifier = None if data_set is None else decode(data_set)
        self.asked.append((sop_class_uid, command, identifier))
        self._answers = iter(self.answer(command, identifier))
        return b"{}"

    def response(self, timeout_s):
        found = next(self._answers)
        if found is None:
            return asyncio.Event().wait()
        if isinstance(found, Exception):
            return found
        command, identifier = found
        data = b"" if identifier is None else encode(identifier)
        return json.dumps(command).encode() + b"\n" + data

    def cancel(self, message_id):
        self.cancelled = True
        return b""

    def release(self):
        self.ended = "released"
        return b""

    def abort(self):
        self.ended = "aborted"
        return b""


class FakeSending:
    """A batch of which the node takes one instance at each look, but for those of `refused`."""

    def __init__(self, batch, refused, silent_after):
        self.batch = batch
        self.left = list(batch["instances"])
        self.refused = refused
        self.silent_after = silent_after
        self.taken = []
        self.failures = []
        self.cancelled = False

    def wait(self, seen):
        while len(self.taken) + len(self.failures) <= seen and self.left:
            if self.silent_after is not None and len(self.taken) >= self.silent_after:
                return asyncio.Event().wait()
            each = self.left.pop(0)
            if each in self.refused:
                status = self.refused[each]
                uid = f"1.2.{each}"
                self.failures.append(
                    {"id": each, "sop_instance_uid": uid, "status": status, "reason": "no"}
                )
                if not self.batch["permissive"]:
                    break
            else:
                self.taken.append(each)
        return b""

    def progress(self):
        stopped = self.failures and not self.batch["permissive"]
        return json.dumps(
            {
                "remaining": len(self.left),
                "completed": len(self.taken),
                "warning": 0,
                "failed": len(self.failures),
                "done": not self.left or bool(stopped),
                "cancelled": False,
                "bytes": 0,
                "failures": self.failures,
                "error": None,
            }
        ).encode()

    def cancel(self):
        self.cancelled = True


class FakeCore:
    """The core of a node that reaches `answer` at every address."""

    def __init__(self):
        self.answer = lambda command, identifier: [({"Status": 0}, None)]
        self.refused_contexts = ()
        self.refused = {}
        # After how many instances each batch in turn goes no further; the last holds for all.
        self.silent_after = [None]
        self.peers = []
        self.sendings = []
        self.files = []
        self.here = []

    def peer(self, specification):
        self.peers.append(FakePeer(json.loads(specification), self.answer, self.refused_contexts))
        return self.peers[-1]

    def send(self, batch):
        after = self.silent_after[min(len(self.sendings), len(self.silent_after) - 1)]
        self.sendings.append(FakeSending(json.loads(batch), self.refused, after))
        return self.sendings[-1]

    def send_file(self, specification, file):
        self.files.append((json.loads(specification), file))
        return json.dumps(
            {"sop_class_uid": "1.2", "sop_instance_uid": "1.2.3", "status": 0, "reason": ""}
        ).encode()

    def select_instances(self, identifier, transfer_syntax_uid, options):
        return json.dumps([{"SOPInstanceUID": uid} for uid in self.here]).encode()


class NetworkedArchive(FakeArchive):
    """An archive with such a core; each instance is in the study `study`."""

    def __init__(self, settings=None):
        super().__init__(settings)
        self.core = FakeCore()
        self.files = {str(number): b"" for number in range(1000)}

    async def result(self, handle):
        if isinstance(handle, Exception):
            raise handle
        if asyncio.iscoroutine(handle):
            return await handle
        return handle

    def resource(self, level, public_id, caller):
        if (level, public_id) == ("studies", "study"):
            return json.dumps({"ID": "study", "Type": "Study", "MainDicomTags": UIDS}).encode()
        if level == "patients" and public_id == "patient":
            return json.dumps({"ID": "patient", "Type": "Patient", "MainDicomTags": UIDS}).encode()
        found = json.loads(super().resource(level, public_id, caller))
        return json.dumps(found | {"MainDicomTags": UIDS | {"SOPInstanceUID": public_id}}).encode()

    async def related(self, level, public_id, related_level, options, caller):
        if related_level == "instances":
            return json.dumps(list(self.files)).encode()
        return json.dumps({"Type": "x", "MainDicomTags": UIDS}).encode()

    async def metadata_value(self, level, public_id, name, caller):
        return b"1.2.840.10008.5.1.4.1.1.2"


UIDS = {"PatientID": "P1", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
