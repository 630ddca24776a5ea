"""TLS in and out: who is trusted, who has to prove it, files that change or are wrong."""

import shutil
import ssl
import subprocess
import time

import httpx
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification
from support import make_instance, send
from support_sending import Receiver, certify, encode, open_archive, sent, store_all

from vna.errors import PeerTlsFailed

SERVER = (
    "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "-addext",
    "basicConstraints=CA:FALSE",
)
CLIENT = ("-addext", "basicConstraints=CA:FALSE")


class Certificates:
    """An authority, what it signed, and who signed himself."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = certify(folder, "authority")
        self.ours = certify(folder, "ours", self.authority, *SERVER)
        self.peer = certify(folder, "peer", self.authority, *CLIENT)
        self.other = certify(folder, "other", self.authority, *CLIENT)
        self.stranger = certify(folder, "stranger")
        self.alone = certify(folder, "alone")
        self.trusted = folder / "trusted.pem"
        parts = (self.authority[0], self.alone[0])
        self.trusted.write_bytes(b"".join(part.read_bytes() for part in parts))

    def flags(self, own="ours", trusted=None):
        """Settings of [tls]."""
        certificate, key = getattr(self, own)
        return {
            "tls.certificate": str(certificate),
            "tls.private_key": str(key),
            "tls.trusted_certificates": str(trusted or self.trusted),
        }

    def server_context(self, own, *, required=True):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.trusted)
        context.load_cert_chain(*getattr(self, own))
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_NONE
        return context

    def client_context(self, own=None):
        context = ssl.create_default_context(cafile=self.trusted)
        context.check_hostname = False
        if own:
            context.load_cert_chain(*getattr(self, own))
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def send_one(archive, receiver, **more):
    ids = await store_all(archive, [make_instance(size=300_000)])
    described = receiver.spec(instances=ids, **more)
    return await sent(archive, archive.core.send(encode(described)))


@pytest.mark.parametrize("own", ["peer", "alone"])
async def test_instances_go_to_a_peer_that_we_trust_and_that_trusts_us(tmp_path, certificates, own):
    async with open_archive(tmp_path / "data", **certificates.flags()) as archive:
        with Receiver(tls=certificates.server_context(own)) as receiver:
            progress = await send_one(archive, receiver, tls={})
    assert (progress["completed"], progress["error"]) == (1, None)
    assert len(receiver.taken[0][2]) > 300_000


async def test_who_is_not_trusted_or_not_named_as_the_host_is_told(tmp_path, certificates):
    async with open_archive(tmp_path / "data", **certificates.flags()) as archive:
        with Receiver(tls=certificates.server_context("stranger", required=False)) as receiver:
            progress = await send_one(archive, receiver, tls={})
            assert progress["error"]["code"] == "peer.tls"
            assert "the peer's certificate is not trusted" in progress["error"]["message"]
        with Receiver(tls=certificates.server_context("peer")) as receiver:
            progress = await send_one(archive, receiver, tls={"verify_host_name": True})
            assert "certificate is not trusted" in progress["error"]["message"]
        with Receiver(tls=certificates.server_context("ours")) as receiver:
            progress = await send_one(archive, receiver, tls={"verify_host_name": True})
            assert progress["completed"] == 1
        with Receiver() as receiver:  # it speaks in the clear
            progress = await send_one(archive, receiver, tls={}, timeout_s=5)
            assert progress["failed"] == 1
            assert progress["error"]["code"] in ("peer.tls", "peer.timeout")


async def test_a_peer_that_does_not_trust_us_or_is_too_old_is_told(tmp_path, certificates):
    async with open_archive(tmp_path / "data", **certificates.flags("stranger")) as archive:
        with Receiver(tls=certificates.server_context("peer")) as receiver:
            progress = await send_one(archive, receiver, tls={})
            assert progress["error"]["code"] == "peer.tls", progress
        own = {"certificate": str(certificates.ours[0]), "private_key": str(certificates.ours[1])}
        with Receiver(tls=certificates.server_context("peer")) as receiver:
            progress = await send_one(archive, receiver, tls=own)
            assert progress["completed"] == 1
        old = certificates.server_context("peer", required=False)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with Receiver(tls=old) as receiver:
            progress = await send_one(archive, receiver, tls={"minimum_version": "1.3"})
            assert progress["error"]["code"] == "peer.tls"
            progress = await send_one(archive, receiver, tls={})
            assert progress["completed"] == 1


async def test_files_that_do_not_do_are_named(tmp_path, certificates):
    async with open_archive(tmp_path / "data") as archive:

        async def problem(**tls):
            with Receiver() as receiver:
                described = encode(receiver.spec(tls=tls, contexts=[]))
                peer = archive.core.peer(described)
                with pytest.raises(PeerTlsFailed) as failed:
                    await archive.result(peer.open())
            return str(failed.value)

        certificate, key = map(str, certificates.ours)
        trusted = str(certificates.trusted)
        assert "tls.trusted_certificates is not set" in await problem()
        assert "No such file" in await problem(trusted_certificates=str(tmp_path / "missing.pem"))
        assert "holds no certificate in PEM" in await problem(trusted_certificates=key)
        swapped = await problem(
            trusted_certificates=trusted, certificate=certificate, private_key=certificate
        )
        assert "holds no private key in PEM" in swapped
        mixed = await problem(
            trusted_certificates=trusted,
            certificate=certificate,
            private_key=str(certificates.peer[1]),
        )
        assert "do not go together" in mixed
        assert "is set, tls.private_key is not" in await problem(
            trusted_certificates=trusted, certificate=certificate
        )
        assert "none of TLS_AES_256" in await problem(trusted_certificates=trusted, ciphers=["RC4"])


def associate(server, context):
    entity = AE(ae_title="CT01")
    entity.add_requested_context(Verification)
    entity.add_requested_context(CTImageStorage)
    entity.connection_timeout = entity.acse_timeout = 10
    return entity.associate(
        server.dicom_host, server.dicom_port, tls_args=(context, None) if context else None
    )


def dicom_flags(certificates, **more):
    flags = certificates.flags() | {"dicom.tls": "true"} | more
    return [f"--set={name}={value}" for name, value in flags.items()]


def test_who_associates_has_to_show_a_certificate_that_we_trust(start_server, certificates):
    server = start_server(*dicom_flags(certificates))
    for own in ("peer", "alone"):
        association = associate(server, certificates.client_context(own))
        assert association.is_established, own
        assert association.send_c_echo().Status == 0
        data_set = pydicom_of(make_instance(size=2_000_000))
        assert send(association, data_set).Status == 0
        association.release()
    for context in (
        certificates.client_context(),
        certificates.client_context("stranger"),
        None,
    ):
        assert not associate(server, context).is_established
    assert len(server.get("/instances")) == 2
    assert "no TLS with who connected for DICOM" in server.output()


def pydicom_of(file):
    import pydicom
    from pydicom.filebase import DicomBytesIO

    return pydicom.dcmread(DicomBytesIO(file))


def test_changed_certificates_are_used_and_bad_ones_are_not(start_server, certificates, tmp_path):
    own = [tmp_path / "own.pem", tmp_path / "own.key"]
    for source, target in zip(certificates.ours, own, strict=True):
        shutil.copy(source, target)
    flags = {
        "tls.certificate": str(own[0]),
        "tls.private_key": str(own[1]),
        "dicom.tls_client_certificates": "none",
    }
    server = start_server(*dicom_flags(certificates, **flags))
    address = (server.dicom_host, server.dicom_port)
    before = ssl.get_server_certificate(address)
    assert before.strip() == certificates.ours[0].read_text().strip()
    own[0].write_text("this is no certificate")
    wait_for(lambda: ssl.get_server_certificate(address) and "do not do" in server.output())
    assert ssl.get_server_certificate(address) == before
    for source, target in zip(certificates.other, own, strict=True):
        shutil.copy(source, target)
    wait_for(lambda: ssl.get_server_certificate(address) != before)
    assert ssl.get_server_certificate(address).strip() == certificates.other[0].read_text().strip()


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_http_is_answered_over_tls(start_server, certificates):
    flags = certificates.flags() | {"http.tls": "true"}
    server = start_server(*[f"--set={name}={value}" for name, value in flags.items()])
    assert server.url.startswith("https://")
    context = ssl.create_default_context(cafile=certificates.trusted)
    with httpx.Client(base_url=server.url, verify=context) as client:
        answer = client.post("/instances", content=make_instance(size=3_000_000))
        assert answer.status_code == 200
        file = client.get(answer.json()["Path"] + "/file")
        assert len(file.content) > 3_000_000
    with httpx.Client(base_url=server.url) as client, pytest.raises(httpx.ConnectError):
        client.get("/system")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"dicom.tls": "true"}, "dicom.tls: a listener needs tls.certificate"),
        (
            {"http.tls": "true", "tls.certificate": "x", "tls.private_key": "y"},
            "tls.certificate: x",
        ),
        (
            {"dicom.tls": "true", "tls.certificate": "x", "tls.private_key": "y"},
            "tls.trusted_certificates; or set none",
        ),
    ],
)
def test_serve_says_which_file_is_wrong(tmp_path, settings, problem):
    from support import VNA

    flags = [f"--set={name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        [VNA, "serve", f"--root={tmp_path / 'data'}", "--http-port=0", "--dicom-port=0", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
