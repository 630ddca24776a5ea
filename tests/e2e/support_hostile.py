"""What a server must stand: a watch over it while it is attacked, and malformed files."""

import re
import struct
import subprocess
import threading
import zlib
from pathlib import Path
from random import Random

import httpx
from pydicom.uid import generate_uid
from support import VNA, data_set_bytes, make_instance
from support_wire import DEFLATED, EXPLICIT, IMPLICIT, Wire

MOST_PSS_BYTES = 150 << 20
# Who is not answered for so long was held up, even on a machine that runs other tests too.
SLOWEST_S = 60
# Others than the attackers' address, so that limits per peer can be told from those in total.
GOOD_ADDRESS = "127.0.0.2"


def pss_bytes(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024


class Watch:
    """A well-behaved client and a sampler of memory, at work for as long as an attack lasts."""

    def __init__(self, server):
        self.server = server
        self.most_pss = 0
        self.rounds = 0
        self.failures = []
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._sample),
            threading.Thread(target=self._work),
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        # At least one round falls into the time after the attack.
        self._end.set()
        for thread in self._threads:
            thread.join()
        if kind is None:
            self.judge()

    def judge(self):
        assert not self.failures, self.failures[0]
        assert self.rounds > 0
        assert self.most_pss < MOST_PSS_BYTES, f"{self.most_pss >> 20} MiB"
        assert self.server.process.poll() is None, self.server.output()[-3000:]

    def _sample(self):
        while True:
            self.most_pss = max(self.most_pss, pss_bytes(self.server.process.pid))
            if self._end.wait(0.05):
                return

    def _work(self):
        with httpx.Client(base_url=self.server.url, timeout=SLOWEST_S) as http:
            while True:
                try:
                    self._store_and_get(http)
                except Exception as error:
                    self.failures.append(repr(error))
                    return
                self.rounds += 1
                if self._end.wait(0.02):
                    return

    def _store_and_get(self, http):
        uid = generate_uid()
        data = make_instance(patient="GOOD", size=20_000, SOPInstanceUID=uid)
        body = data_set_bytes(data)
        with Wire(self.server, source=GOOD_ADDRESS) as wire:
            wire.associate(calling="GOOD")
            assert wire.store(body, uid) == 0x0000
            wire.release()
        # The newest of this patient, found by the change that it made.
        last = http.get("/changes?last").raise_for_status().json()["Last"]
        assert last > 0
        uploaded = http.post("/instances", content=data).raise_for_status().json()
        assert uploaded["Status"] == "AlreadyStored"
        file = http.get(f"/instances/{uploaded['ID']}/file").raise_for_status().content
        assert data_set_bytes(file) == body


def assert_whole(server):
    """The server stops in order, complained of nothing unforeseen, and its archive is sound."""
    metrics = server.http.get("/metrics").text
    assert 'vna_dimse_ended_total{how="panic"}' not in metrics or (
        'vna_dimse_ended_total{how="panic"} 0\n' in metrics
    )
    assert "\nvna_spool_used_bytes 0\n" in metrics
    assert server.stop() == 0
    output = server.output()
    assert "Traceback" not in output
    assert "panicked" not in output
    checked = subprocess.run(
        [VNA, "check", f"--root={server.root}"], capture_output=True, text=True, timeout=120
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- malformed data sets


class Writer:
    """Elements of a data set in explicit or implicit VR little endian."""

    def __init__(self, syntax=EXPLICIT):
        self.syntax = syntax

    def element(self, tag, vr, value=b"", length=None):
        """Return an element; `length` may lie."""
        value += b"\0" * (len(value) % 2)
        size = len(value) if length is None else length
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if self.syntax == IMPLICIT:
            return head + struct.pack("<I", size) + value
        if vr in ("OB", "OW", "SQ", "UN", "UT", "OF", "UC", "UR"):
            return head + vr.encode() + struct.pack("<xxI", size) + value
        return head + vr.encode() + struct.pack("<H", size) + value

    def nested(self, tag, depth, undefined):
        """Return a sequence that holds itself, `depth` times."""
        long = self.syntax != IMPLICIT
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + (b"SQ\0\0" if long else b"")
        item = b"\xfe\xff\x00\xe0"
        if undefined:
            start = head + b"\xff\xff\xff\xff" + item + b"\xff\xff\xff\xff"
            end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
            return start * depth + end * depth
        step = len(head) + 4 + 8
        return b"".join(
            head
            + struct.pack("<I", (depth - level) * step - len(head) - 4)
            + item
            + struct.pack("<I", (depth - level - 1) * step)
            for level in range(depth)
        )

    def identity(self, uid):
        """Return the elements that every instance needs, in two parts: groups 8, and 10 on."""
        first = self.element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.2")
        first += self.element(0x0008_0018, "UI", uid.encode())
        second = self.element(0x0010_0020, "LO", b"HOSTILE")
        second += self.element(0x0020_000D, "UI", b"2.25.1")
        second += self.element(0x0020_000E, "UI", b"2.25.2")
        return first, second


def part10(data_set, syntax=EXPLICIT, uid="2.25.9"):
    """Return a PS3.10 file of this data set."""
    write = Writer()
    meta = write.element(0x0002_0001, "OB", b"\0\1")
    meta += write.element(0x0002_0002, "UI", b"1.2.840.10008.5.1.4.1.1.2")
    meta += write.element(0x0002_0003, "UI", uid.encode())
    meta += write.element(0x0002_0010, "UI", syntax.encode())
    length = write.element(0x0002_0000, "UL", struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + length + meta + data_set


def deflate(pieces):
    """Return a raw deflate stream (PS3.5 §A.5) of all pieces."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return b"".join(map(packer.compress, pieces)) + packer.flush()


def malformed():
    """Yield (name, transfer syntax, data set, code of the refusal)."""
    uid = "2.25.9"
    deep = 10_000
    for syntax, word in ((EXPLICIT, "explicit"), (IMPLICIT, "implicit")):
        write = Writer(syntax)
        first, second = write.identity(uid)
        nested = write.nested(0x0008_1140, deep, undefined=True)
        yield f"{deep}-deep-{word}", syntax, first + nested + second, "budget.depth"
        for length in (0xFFFF_FFFE, 0x8000_0000, 0x7FFF_FFFE):
            huge = write.element(0x0009_1001, "UN", b"x" * 64, length)
            yield f"{length:x}-bytes-{word}", syntax, first + huge + second, "header.truncated"
        huge = write.element(0x0008_1140, "SQ", b"", 0xFFFF_FFF0)
        yield f"huge-sequence-{word}", syntax, first + huge + second, "header.truncated"
        item = b"\xfe\xff\x00\xe0\xf0\xff\xff\xff"
        open_sequence = write.element(0x0008_1140, "SQ", item, 0xFFFF_FFFF)
        yield f"huge-item-{word}", syntax, first + open_sequence + second, "header.truncated"
        open_sequence = write.element(0x0008_1140, "SQ", b"", 0xFFFF_FFFF)
        yield f"no-item-{word}", syntax, first + open_sequence + second, "item.expected"
        long_id = write.element(0x0010_0020, "UT", b"A" * 300_000)
        yield f"long-patient-id-{word}", syntax, first + long_id + second, "budget.identifier"
    write = Writer()
    first, second = write.identity(uid)
    unknown = write.element(0x0009_1001, "UI", b"", 0xFFFF)
    yield "short-vr-over-the-end", EXPLICIT, first + unknown, "header.truncated"
    # Nested in VR UN of undefined length: implicit within explicit (PS3.5 §6.2.2).
    inside = Writer(IMPLICIT).nested(0x0009_1002, deep, True)
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    unknown = write.element(0x0009_1001, "UN", item + inside, 0xFFFF_FFFF)
    yield "deep-in-un", EXPLICIT, first + unknown + second, "budget.depth"

    zeros = bytes(1 << 20)
    bomb = [first, write.element(0x0009_1001, "OB", b"", 64 << 20), *[zeros] * 64, second]
    yield "deflate-bomb-64-MiB", DEFLATED, deflate(bomb), "budget.inflate_ratio"
    # One byte in 401 is none of the zeros: below the ratio, so that only the cap is left.
    sparse = b"".join(bytes(400) + bytes([at * 7 % 251]) for at in range(10_000))
    repeated = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    block = repeated.compress(sparse) + repeated.flush(zlib.Z_FULL_FLUSH)
    count = (270 << 20) // len(sparse)
    start = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    header = first + write.element(0x0009_1001, "OB", b"", count * len(sparse))
    # A full flush makes each block one that stands for itself, so it is packed only once.
    body = start.compress(header) + start.flush(zlib.Z_FULL_FLUSH) + block * count
    yield "deflate-270-MiB", DEFLATED, body + deflate([second]), "budget.inflated"
    noise = write.element(0x0009_1001, "OB", Random(1).randbytes(1000))
    packed = deflate([first + noise + second])
    yield "deflate-cut", DEFLATED, packed[: len(packed) // 2], "header.truncated"
    yield "deflate-noise", DEFLATED, b"\xff\xff" + packed, "deflate.invalid"
