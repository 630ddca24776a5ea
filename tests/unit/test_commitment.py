"""Transactions of storage commitment: their messages and what is kept of them."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from vna.control import Control
from vna.errors import Conflict, NoSuchEvent, NotFound
from vna.services import commitment
from vna.services.caller import Caller
from vna.services.commitment import records
from vna.services.commitment.messages import (
    InvalidArgument,
    as_action,
    as_event,
    read_action,
    read_event,
)
from vna.services.commitment.records import Named, Reference, Transaction

A, B = Reference("1.2", "1.2.1"), Reference("1.2", "1.2.2")
TRANSACTION = Transaction(1, 1, "1.9", "CT01", "VNA", "Pending")
CALLER = Caller(way_in="rest")


@pytest.fixture
def control(tmp_path):
    control = Control(tmp_path / "control.sqlite")
    yield control
    control.close()


def begin(control, uid="1.9", role="asking", references=(A, B), tenant=1):
    return control.run_blocking(
        lambda c: records.begin(c, role, tenant, uid, ("CT01", "VNA"), references)
    )


def report(control, uid="1.9", tenant=1):
    return asyncio.run(commitment.report(SimpleNamespace(control=control), uid, tenant))


def take(control, reasons, uid="1.9", tenant=1):
    node = SimpleNamespace(control=control)
    return asyncio.run(commitment.take_report(node, uid, reasons, tenant))


def test_a_request_and_its_report_come_back_as_they_were_written():
    assert read_action(as_action("1.9", [A, B])) == ("1.9", [A, B])
    event, data_set = as_event(TRANSACTION, [Named(A, 0), Named(B, 0x0112)], "VNA")
    assert read_event(event, data_set) == ("1.9", {A: 0, B: 0x0112})
    assert event == 2
    event, data_set = as_event(TRANSACTION, [Named(A, 0), Named(B, 0)], "VNA")
    assert read_event(event, data_set) == ("1.9", {A: 0, B: 0})
    assert event == 1


def test_an_instance_of_which_nothing_is_known_is_not_reported_as_kept():
    event, data_set = as_event(TRANSACTION, [Named(A, None)], "VNA")
    assert read_event(event, data_set)[1] == {A: 0x0110}


def test_messages_that_say_too_little_are_refused():
    whole = as_action("1.9", [A])
    for name in whole:
        with pytest.raises(InvalidArgument):
            read_action({key: value for key, value in whole.items() if key != name})
    for uid in ("", "x", "1" * 65):
        with pytest.raises(InvalidArgument):
            read_action(as_action(uid, [A]))
    for uid in ("", "1" * 65):
        with pytest.raises(InvalidArgument):
            read_action(as_action("1.9", [Reference("1.2", uid)]))
    with pytest.raises(NoSuchEvent):
        read_event(3, whole)
    with pytest.raises(InvalidArgument, match="item 1"):
        read_event(1, whole | {"00081198": {"vr": "SQ", "Value": [{}]}})


def test_a_report_is_pending_until_it_comes(control):
    begin(control)
    assert report(control) == {
        "Status": "Pending",
        "RemoteAET": "CT01",
        "Success": [],
        "Failures": [],
    }
    assert take(control, {A: 0, B: 0x0112}) == "Failure"
    shown = report(control)
    assert shown["Success"] == [{"SOPClassUID": "1.2", "SOPInstanceUID": "1.2.1"}]
    assert shown["Failures"][0]["FailureReason"] == 0x0112
    assert "not available" in shown["Failures"][0]["Description"]
    assert take(control, {A: 0, B: 0}) == "Success"
    assert report(control)["Failures"] == []


def test_what_a_report_leaves_out_is_not_committed(control):
    begin(control)
    assert take(control, {A: 0, Reference("1.2", "1.2.9"): 0}) == "Failure"
    assert [each["SOPInstanceUID"] for each in report(control)["Failures"]] == ["1.2.2"]


def test_reports_that_nobody_asked_for_are_refused(control):
    begin(control)
    for uid, tenant in [("1.10", 1), ("1.9", 2)]:
        with pytest.raises(NotFound):
            take(control, {A: 0}, uid, tenant)
        with pytest.raises(NotFound):
            report(control, uid, tenant)
    begin(control, "1.11", "asked")
    with pytest.raises(NotFound):
        take(control, {A: 0, B: 0}, "1.11")


def test_only_what_was_committed_in_whole_is_removed(control):
    begin(control)
    node = SimpleNamespace(control=control)
    with pytest.raises(Conflict, match="Pending"):
        asyncio.run(commitment.remove(node, "1.9", CALLER))
    take(control, {A: 0})
    with pytest.raises(Conflict, match="Failure"):
        asyncio.run(commitment.remove(node, "1.9", CALLER))


def test_old_transactions_are_forgotten_but_none_that_a_peer_waits_for(control):
    for number in range(5):
        begin(control, f"1.{number}")
        begin(control, f"1.{number}", "asked")
    for role in ("asked", "asking"):
        control.run_blocking(lambda c, role=role: records.trim(c, role, 2))

    def left(role):
        rows = control.run_blocking(
            lambda c: c.execute(
                "SELECT transaction_uid FROM commitment WHERE role = ? ORDER BY sequence", (role,)
            ).fetchall()
        )
        return [row[0] for row in rows]

    assert left("asking") == ["1.3", "1.4"]
    assert len(left("asked")) == 5
    instances = control.run_blocking(
        lambda c: c.execute("SELECT count(*) FROM commitment_instance").fetchone()[0]
    )
    assert instances == 14


def test_committed_instances_are_spared_as_long_as_configured(control, monkeypatch):
    sequence = begin(control, role="asked")
    transaction = control.run_blocking(lambda c: records.get(c, sequence))
    reasons = {0: (A, records.COMMITTED), 1: (B, records.NO_SUCH_OBJECT)}
    control.run_blocking(lambda c: records.set_reasons(c, transaction, reasons))

    def spared(reference, days, tenant=1):
        found = control.run_blocking(lambda c: records.committed(c, days, (0, ""), 10))
        uids = [(owner, uid) for owner, uid, _ in found]
        assert all(until > time.time_ns() // 1000 for _, _, until in found)
        return (tenant, reference.sop_instance_uid) in uids

    assert spared(A, 0)
    assert spared(A, 30)
    assert not spared(B, 0)
    assert not spared(A, 0, tenant=2)
    behind = control.run_blocking(lambda c: records.committed(c, 0, (1, A.sop_instance_uid), 10))
    assert behind == []
    later = time.time_ns() + 31 * 86_400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert spared(A, 0)
    assert not spared(A, 30)
