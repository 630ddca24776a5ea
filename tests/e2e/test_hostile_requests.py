"""Requests that services answer, from peers that mix them, break them off or lose count."""

import os
import struct
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_wire import (
    ABORT,
    BY_USER,
    CLOSED,
    CT_IMAGE_STORAGE,
    EXPLICIT,
    IMPLICIT,
    INVALID_PARAMETER,
    P_DATA,
    UNEXPECTED_PARAMETER,
    VERIFICATION,
    Wire,
    command,
    p_data,
    pdu,
    store_command,
)

WORKLIST, PROCEDURE_STEP = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
COMMITMENT = "1.2.840.10008.1.20.1"
ECHO, FIND, STEP, COMMIT, CT = 1, 3, 5, 7, 9
CONTEXTS = {
    ECHO: (VERIFICATION, IMPLICIT),
    FIND: (WORKLIST, IMPLICIT),
    STEP: (PROCEDURE_STEP, IMPLICIT),
    COMMIT: (COMMITMENT, IMPLICIT),
    CT: (CT_IMAGE_STORAGE, EXPLICIT),
}
C_FIND, C_ECHO, C_CANCEL, N_CREATE, N_ACTION = 0x20, 0x30, 0xFFF, 0x140, 0x130
# (0010,0010), empty: all names.
ANY_NAME = bytes.fromhex("10 00 10 00 00 00 00 00")
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def server(start_server):
    callers = "echo,store,find,worklist,mpps,commitment"
    return start_server(environment={"VNA__DICOM__UNKNOWN_CALLERS": callers})


def number(value):
    return struct.pack("<H", value)


def request(context, field, message_id, class_element=0x0002, sop_class=None, data=None):
    """Return a request, its data set behind it if it has one."""
    uid = (sop_class or CONTEXTS[context][0]).encode()
    elements = [(class_element, uid), (0x0110, number(message_id))]
    if field == N_CREATE:
        elements.append((0x1000, f"2.25.{message_id}".encode()))
    whole = p_data(context, 3, command(field, data is not None, *elements))
    return whole + (p_data(context, 2, data) if data is not None else b"")


def cancel(message_id):
    return p_data(FIND, 3, command(C_CANCEL, False, (0x0120, number(message_id))))


# What is answered, well or by a status; of each the kind and the request for a Message ID.
ANSWERED = {
    "echo": lambda at: request(ECHO, C_ECHO, at),
    "query": lambda at: request(FIND, C_FIND, at, data=ANY_NAME),
    "no identifier": lambda at: request(FIND, C_FIND, at),
    "noise as identifier": lambda at: request(FIND, C_FIND, at, data=b"\xff" * 50),
    "long identifier": lambda at: request(FIND, C_FIND, at, data=ANY_NAME + bytes(30_000)),
    "step": lambda at: request(STEP, N_CREATE, at, data=ANY_NAME),
    "commitment of nothing": lambda at: request(COMMIT, N_ACTION, at, 0x0003, data=ANY_NAME),
    "wrong context": lambda at: request(ECHO, C_FIND, at, data=ANY_NAME),
    "wrong SOP class": lambda at: request(FIND, C_FIND, at, sop_class="1.2.3", data=ANY_NAME),
    "no operation": lambda at: request(STEP, 0x0150, at),
    "echo for a worklist": lambda at: request(FIND, C_ECHO, at),
}


def responses(wire, count):
    """Return the last responses to `count` requests: Message ID and status of each."""
    found = []
    while len(found) < count:
        received = wire.receive()
        assert received.kind == P_DATA, (received, found)
        if not received.body[5] & 1:
            continue  # the data set of a pending response
        at = received.body.index(b"\0\0\x20\x01\2\0\0\0")
        message_id = int.from_bytes(received.body[at + 8 : at + 10], "little")
        if received.status & 0xFF00 != 0xFF00:
            found.append((message_id, received.status))
    return found


def associate(server):
    return Wire(server).associate(contexts=CONTEXTS)


@EXAMPLES
@given(kinds=st.lists(st.sampled_from([*ANSWERED, "cancel"]), min_size=1, max_size=12))
def test_each_request_of_a_mixture_is_answered_once_with_its_message_id(server, kinds):
    with associate(server) as wire:
        asked = []
        for at, kind in enumerate(kinds, 1):
            if kind == "cancel":
                wire.send(cancel(at - 1))
                continue
            wire.send(ANSWERED[kind](at))
            asked.append(at)
        answers = dict(responses(wire, len(asked)))
        assert sorted(answers) == asked
        for at in asked:
            if kinds[at - 1] == "echo":
                assert answers[at] == 0
        assert wire.echo() == 0
        wire.release()


ABORTED = {
    "a response": (request(STEP, N_CREATE | 0x8000, 1), BY_USER),
    "unknown context": (p_data(99, 3, command(C_ECHO, False)), INVALID_PARAMETER),
    "another request inside a data set": (
        request(FIND, C_FIND, 9, data=ANY_NAME)[: -len(p_data(FIND, 2, ANY_NAME))]
        + request(ECHO, C_ECHO, 10),
        UNEXPECTED_PARAMETER,
    ),
    "a length beyond its PDU": (
        pdu(P_DATA, struct.pack(">IBB", 1 << 30, FIND, 3) + bytes(8)),
        INVALID_PARAMETER,
    ),
    "no command": (p_data(FIND, 3, b"\0" * 40), BY_USER),
}


@pytest.mark.parametrize("name", ABORTED)
def test_who_breaks_the_protocol_while_he_is_served_is_aborted_with_the_reason(server, name):
    data, reason = ABORTED[name]
    with associate(server) as wire:
        wire.send(ANSWERED["query"](1) + ANSWERED["step"](2) + data)
        while (received := wire.receive()).kind == P_DATA:
            pass
        assert received.kind == ABORT, received
        assert received.abort == reason
    with associate(server) as wire:
        assert wire.echo() == 0


@EXAMPLES
@given(
    kinds=st.lists(st.sampled_from([*ANSWERED]), min_size=1, max_size=6),
    cut=st.floats(0, 1),
    reset=st.booleans(),
)
def test_who_goes_away_anywhere_leaves_nothing_behind(server, kinds, cut, reset):
    whole = b"".join(ANSWERED[kind](at) for at, kind in enumerate(kinds, 1))
    with associate(server) as wire:
        wire.send(whole[: int(len(whole) * cut)])
        if reset:
            wire.reset()
        else:
            wire.end_of_output()
            while (received := wire.receive()) != CLOSED:
                assert received.kind in {P_DATA, ABORT}


def test_a_message_id_may_be_used_again_after_its_response(server):
    with associate(server) as wire:
        for _ in range(3):
            wire.send(ANSWERED["query"](7))
            assert responses(wire, 1) == [(7, 0)]
        wire.send(p_data(CT, 3, store_command("2.25.77")) + p_data(CT, 2, b"\xff" * 64))
        assert wire.receive().status == 0xC000
        wire.release()


def test_nothing_is_left_of_all_that(server):
    associations = "\nvna_dimse_associations 0\n"
    spool = "\nvna_spool_used_bytes 0\n"
    end = time.monotonic() + 60
    while True:
        metrics = server.http.get("/metrics").text
        if associations in metrics and spool in metrics:
            return
        assert time.monotonic() < end, metrics
