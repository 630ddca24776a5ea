"""Stored instances read again, through the core."""

import asyncio
import json

import pytest

from vna import _core
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import Settings, Storage

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"


def a_file(sop_instance_uid):
    return _core.write_file(
        [
            (0x0008_0016, "UI", CT.encode()),
            (0x0008_0018, "UI", sop_instance_uid.encode()),
            (0x0010_0020, "LO", b"P"),
            (0x0020_000D, "UI", b"1.2.3"),
            (0x0020_000E, "UI", b"1.2.3.4"),
            (0x7FE0_0010, "OW", bytes(range(256)) * 8),
        ],
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )


@pytest.fixture
def verdicts(tmp_path):
    """Store two instances, let a test harm the log, and return what verification says."""

    def verify(references, harm=lambda folder: None, tenant=1):
        async def run():
            archive = Archive(Settings(storage=Storage(root=str(tmp_path / "archive"))))
            archive.attach()
            try:
                for number in (1, 2):
                    await archive.store(a_file(f"1.2.3.4.{number}"), Caller(way_in="rest"))
                harm(tmp_path / "archive")
                asked = json.dumps(
                    [{"SOPClassUID": cls, "SOPInstanceUID": uid} for cls, uid in references]
                ).encode()
                handle = archive.core.verify_instances(tenant, asked)
                return json.loads(await archive.result(handle))
            finally:
                await archive.stop()

        return asyncio.run(run())

    return verify


def test_an_instance_is_intact_only_if_it_is_there_with_its_class(verdicts):
    asked = [(CT, "1.2.3.4.1"), (CT, "1.2.3.4.9"), (MR, "1.2.3.4.2"), (CT, "1.2.3"), (CT, "")]
    assert verdicts(asked) == ["intact", "missing", "other-class", "missing", "missing"]


def test_an_instance_of_another_tenant_is_missing(verdicts):
    assert verdicts([(CT, "1.2.3.4.1")], tenant=2) == ["missing"]


def test_an_instance_with_a_changed_byte_is_damaged_and_the_others_are_not(verdicts):
    def harm(folder):
        for segment in folder.rglob("*"):
            if not segment.is_file():
                continue
            data = segment.read_bytes()
            at = data.find(bytes(range(256)), data.find(b"1.2.3.4.2"))
            if b"1.2.3.4.2" in data and at > 0 and "log" in segment.parts:
                with segment.open("r+b") as file:
                    file.seek(at + 100)
                    file.write(b"\xff")
                return
        raise AssertionError("the pixels were not found in the log")

    assert verdicts([(CT, "1.2.3.4.1"), (CT, "1.2.3.4.2")], harm) == ["intact", "damaged"]
