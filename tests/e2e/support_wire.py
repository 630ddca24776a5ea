"""DICOM on a bare socket: PDUs as bytes, so that they can be wrong.

Only what hostile peers need; well-behaved ones use pynetdicom or DCMTK. Layouts: PS3.8 §9.3, of
command sets PS3.7 §6.3.1 and §9.3.1.
"""

import contextlib
import socket
import struct
from typing import NamedTuple

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ = 1, 2, 3
P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 4, 5, 6, 7

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"

# Contexts of `request` unless others are asked for: one for each syntax.
ECHO_CONTEXT, IMPLICIT_CONTEXT, EXPLICIT_CONTEXT, DEFLATED_CONTEXT = 1, 3, 5, 7
CONTEXTS = {
    ECHO_CONTEXT: (VERIFICATION, IMPLICIT),
    IMPLICIT_CONTEXT: (CT_IMAGE_STORAGE, IMPLICIT),
    EXPLICIT_CONTEXT: (CT_IMAGE_STORAGE, EXPLICIT),
    DEFLATED_CONTEXT: (CT_IMAGE_STORAGE, DEFLATED),
}

# Source and reason of an A-ABORT (PS3.8 Table 9-26).
BY_USER = (0, 0)
UNRECOGNIZED_PDU = (2, 1)
UNEXPECTED_PDU = (2, 2)
UNEXPECTED_PARAMETER = (2, 5)
INVALID_PARAMETER = (2, 6)

# A loaded machine answers late; who waits this long waits for nothing.
PATIENCE_S = 60


def pdu(kind, body=b"", length=None):
    """Return a PDU; `length` may lie."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def item(kind, body, length=None):
    return struct.pack(">BxH", kind, len(body) if length is None else length) + body


def request(contexts=CONTEXTS, called="VNA", calling="WIRE", application="1.2.840.10008.3.1.1.1"):
    """Return an A-ASSOCIATE-RQ."""
    body = struct.pack(">H2x16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, application.encode())
    for context_id, (abstract, syntax) in contexts.items():
        inner = item(0x30, abstract.encode()) + item(0x40, syntax.encode())
        body += item(0x20, struct.pack(">B3x", context_id) + inner)
    body += item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4"))
    return pdu(ASSOCIATE_RQ, body)


def fragment(context_id, control, data, length=None):
    """Return a presentation data value. `control`: bit 0 command, bit 1 last (PS3.8 §E.2)."""
    size = len(data) + 2 if length is None else length
    return struct.pack(">IBB", size, context_id, control) + data


def p_data(context_id, control, data):
    return pdu(P_DATA, fragment(context_id, control, data))


def element(number, value):
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def command(field, data_set, *elements):
    """Return a command set; elements are (number, value)."""
    body = element(0x0100, struct.pack("<H", field))
    body += element(0x0800, struct.pack("<H", 1 if data_set else 0x0101))
    body += b"".join(element(number, value) for number, value in elements)
    return element(0x0000, struct.pack("<I", len(body))) + body


def store_command(sop_instance, sop_class=CT_IMAGE_STORAGE):
    return command(
        0x0001,
        True,
        (0x0002, sop_class.encode()),
        (0x0110, b"\1\0"),
        (0x0700, b"\0\0"),
        (0x1000, sop_instance.encode()),
    )


def echo_command():
    return command(0x0030, False, (0x0002, VERIFICATION.encode()), (0x0110, b"\1\0"))


def store_pdus(data_set, sop_instance, context_id=EXPLICIT_CONTEXT, piece=16_000):
    """Return a C-STORE request as one string of PDUs."""
    parts = [p_data(context_id, 3, store_command(sop_instance))]
    for at in range(0, max(len(data_set), 1), piece):
        last = at + piece >= len(data_set)
        parts.append(p_data(context_id, 2 * last, data_set[at : at + piece]))
    return b"".join(parts)


class Pdu(NamedTuple):
    """A PDU that was received."""

    kind: int
    body: bytes

    @property
    def abort(self):
        """Source and reason of an A-ABORT; of another PDU None."""
        return (self.body[2], self.body[3]) if self.kind == ABORT else None

    @property
    def status(self):
        """Status (0000,0900) of a response."""
        at = self.body.index(b"\0\0\0\x09\2\0\0\0")
        return int.from_bytes(self.body[at + 8 : at + 10], "little")


CLOSED = Pdu(0, b"")


class Wire:
    """A connection to the DICOM port of a server."""

    def __init__(self, server, source="127.0.0.1"):
        self.socket = socket.create_connection(
            (server.dicom_host, server.dicom_port), PATIENCE_S, (source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def associate(self, **options):
        self.send(request(**options))
        assert self.receive().kind == ASSOCIATE_AC
        return self

    def send(self, data):
        self.socket.sendall(data)

    def send_until_refused(self, data):
        """Send what the peer takes; it may close in the middle."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            return False
        return True

    def receive(self):
        """Return the next PDU, CLOSED at the end of the connection."""
        header = self._exactly(6)
        if len(header) < 6:
            return CLOSED
        kind, length = struct.unpack(">BxI", header)
        assert length < 1 << 20, f"PDU {kind} of {length} bytes"
        body = self._exactly(length)
        return Pdu(kind, body) if len(body) == length else CLOSED

    def receive_all(self):
        """Return all PDUs until the connection ends."""
        found = []
        while (one := self.receive()) != CLOSED:
            found.append(one)
        return found

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionError:
                return data
            if not part:
                return data
            data += part
        return data

    def end_of_output(self):
        """Say that nothing more follows."""
        with contextlib.suppress(OSError):  # closed by the peer already
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Vanish as a machine does whose cable is pulled and whose port was taken over."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def store(self, data_set, sop_instance, context_id=EXPLICIT_CONTEXT):
        self.send(store_pdus(data_set, sop_instance, context_id))
        answer = self.receive()
        assert answer.kind == P_DATA, answer
        return answer.status

    def echo(self):
        self.send(p_data(ECHO_CONTEXT, 3, echo_command()))
        return self.receive().status

    def release(self):
        self.send(pdu(RELEASE_RQ, bytes(4)))
        assert self.receive().kind == RELEASE_RP
        self.socket.close()
