"""Batches to DCMTK's storescp, in the clear and over TLS, and TLS with DCMTK's tools in."""

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomBytesIO
from support import data_set_bytes, make_instance
from support_pixels import pixels_of
from support_ports import free_port
from support_sending import certify, encode, open_archive, sent, spec, store_all

# Each in another transfer syntax: uncompressed ones and those of PS3.5 §A.4.
SAMPLES = [
    "CT_small.dcm",
    "ExplVR_BigEnd.dcm",
    "image_dfl.dcm",
    "JPEG2000.dcm",
    "examples_jpeg2k.dcm",
    "JPEG-lossy.dcm",
    "SC_jpeg_no_color_transform.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "rtplan.dcm",
]


@contextlib.contextmanager
def storescp(folder, *options):
    """Run storescp until the end; yields its port."""
    path = shutil.which("storescp")
    assert path, "storescp is missing: install dcmtk, as make test does"
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen(
        [path, "-dhl", "-aet", "SINK", *map(str, options), "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None, "storescp ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < end
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(60)


async def send(archive, port, ids, **more):
    return await sent(archive, archive.core.send(encode(spec(port, instances=ids, **more))))


def received(folder):
    """Return what storescp wrote, by SOP Instance UID."""
    files = [path.read_bytes() for path in folder.iterdir()]
    return {str(read(file).SOPInstanceUID): file for file in files}


def read(file):
    return pydicom.dcmread(DicomBytesIO(file))


def read_samples():
    """Return the samples and the transfer syntaxes that they are in, by SOP Instance UID."""
    files = {}
    for number, name in enumerate(SAMPLES):
        content = Path(get_testdata_file(name)).read_bytes()
        uid = str(read(content).SOPInstanceUID)
        # Some are the same instance in several transfer syntaxes; a UID of its own is as long.
        content = content.replace(uid.encode(), f"{uid[:-2]}{number + 10}".encode())
        found = read(content)
        files[str(found.SOPInstanceUID)] = (content, str(found.file_meta.TransferSyntaxUID))
    assert len(files) == len(SAMPLES)
    return files


async def test_every_transfer_syntax_arrives_as_it_is_stored(tmp_path):
    files = read_samples()
    async with open_archive(tmp_path / "data") as archive:
        # +xa: storescp takes all; +B: it writes what it got, but for what is deflated.
        files = {uid: file for uid, file in files.items() if not file[1].endswith(".99")}
        ids = await store_all(archive, [content for content, _ in files.values()])
        with storescp(tmp_path / "received", "+xa", "+B") as port:
            progress = await send(archive, port, ids)
        assert (progress["completed"], progress["failures"]) == (len(files), [])
    arrived = received(tmp_path / "received")
    assert set(arrived) == set(files)
    for uid, file in arrived.items():
        content, syntax = files[uid]
        assert read(file).file_meta.TransferSyntaxUID == syntax
        if not content[132:].startswith(b"\x02\x00\x00\x00"):
            continue  # a file without the group's length
        assert data_set_bytes(file) == data_set_bytes(content)


async def test_a_peer_with_implicit_vr_alone_gets_everything_uncompressed(tmp_path):
    files = read_samples()
    async with open_archive(tmp_path / "data") as archive:
        ids = await store_all(archive, [content for content, _ in files.values()])
        with storescp(tmp_path / "received", "+xi") as port:
            progress = await send(archive, port, ids)
    assert progress["failures"] == []
    arrived = received(tmp_path / "received")
    assert set(arrived) == set(files)
    for uid, file in arrived.items():
        before = read(files[uid][0])
        after = read(file)
        assert getattr(after, "PatientID", None) == getattr(before, "PatientID", None)
        if "PixelData" in before:
            assert (after.pixel_array == pixels_of(files[uid][0])).all()


@pytest.mark.parametrize("options", [["-pdu", "4096"], ["-pdu", "131072"]])
async def test_the_peer_s_longest_pdu_is_kept_to(tmp_path, options):
    file = make_instance(size=1_700_000)
    async with open_archive(tmp_path / "data") as archive:
        ids = await store_all(archive, [file])
        with storescp(tmp_path / "received", "+B", *options) as port:
            assert (await send(archive, port, ids))["completed"] == 1
    (arrived,) = received(tmp_path / "received").values()
    assert data_set_bytes(arrived) == data_set_bytes(file)


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during", "--refuse"])
async def test_a_storescp_that_aborts_or_refuses_is_a_named_failure(tmp_path, option):
    async with open_archive(tmp_path / "data") as archive:
        ids = await store_all(archive, [make_instance(size=200_000)])
        with storescp(tmp_path / "received", option) as port:
            progress = await send(archive, port, ids, retries=1)
    assert (progress["failed"], progress["done"]) == (1, True)
    refused = "association.rejected" if option == "--refuse" else "association.aborted"
    assert progress["error"]["code"] in (refused, "peer.closed")


async def test_storescp_over_tls_takes_what_we_send(tmp_path):
    authority = certify(tmp_path, "authority")
    ours = certify(tmp_path, "ours", authority, "-addext", "basicConstraints=CA:FALSE")
    theirs = certify(tmp_path, "theirs", authority, "-addext", "basicConstraints=CA:FALSE")
    flags = {
        "tls.certificate": str(ours[0]),
        "tls.private_key": str(ours[1]),
        "tls.trusted_certificates": str(authority[0]),
    }
    files = [make_instance(number=number, size=300_000) for number in range(5)]
    async with open_archive(tmp_path / "data", **flags) as archive:
        ids = await store_all(archive, files)
        tls = ["+tls", theirs[1], theirs[0], "+cf", authority[0], "-rc", "+B"]
        with storescp(tmp_path / "received", *tls) as port:
            progress = await send(archive, port, ids, tls={})
            assert (progress["completed"], progress["error"]) == (5, None)
            in_the_clear = await send(archive, port, ids, timeout_s=3)
            assert in_the_clear["failed"] == 5
    arrived = received(tmp_path / "received")
    assert {data_set_bytes(file) for file in arrived.values()} == set(map(data_set_bytes, files))


def test_dcmtk_s_tools_reach_us_over_tls(start_server, dcmtk, tmp_path):
    authority = certify(tmp_path, "authority")
    ours = certify(tmp_path, "ours", authority, "-addext", "basicConstraints=CA:FALSE")
    theirs = certify(tmp_path, "theirs", authority, "-addext", "basicConstraints=CA:FALSE")
    server = start_server(
        "--set=dicom.tls=true",
        f"--set=tls.certificate={ours[0]}",
        f"--set=tls.private_key={ours[1]}",
        f"--set=tls.trusted_certificates={authority[0]}",
    )
    where = [server.dicom_host, str(server.dicom_port)]
    tls = ["+tls", str(theirs[1]), str(theirs[0]), "+cf", str(authority[0])]
    echo = dcmtk("echoscu", *tls, *where)
    assert echo.returncode == 0, echo.stderr
    sample = tmp_path / "sample.dcm"
    sample.write_bytes(make_instance(size=2_500_000))
    stored = dcmtk("storescu", *tls, *where, str(sample))
    assert stored.returncode == 0, stored.stderr
    (found,) = server.get("/instances")
    assert data_set_bytes(server.file(found)) == data_set_bytes(sample.read_bytes())
    assert dcmtk("echoscu", "-to", "3", *where).returncode != 0
    stranger = certify(tmp_path, "stranger")
    strange = ["+tls", str(stranger[1]), str(stranger[0]), "-ic"]
    assert dcmtk("echoscu", *strange, *where).returncode != 0
