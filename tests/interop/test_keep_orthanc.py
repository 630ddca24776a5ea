"""What keeps an archive in check, at ours and at a real Orthanc, by configurations of their own."""

import contextlib
import json
import time

import pytest
from support import Server
from support_compare import Intended, Request, compare, report, unlisted
from support_comparison import ask
from support_corpus import encoded, image
from support_orthanc import Orthanc, peer_program
from support_samples import public_id

pytestmark = pytest.mark.peer

END_S = 60
ERRORS = "Errors carry a stable code, say that they are JSON, and what was found."
READ_ONLY = "What changes an archive that is read-only is refused as that; Orthanc finds out later."
INTENDED = [
    Intended(where=["body/Code", "body/Details", "header/content-type"], reason=ERRORS),
    Intended(where="status", ours="405 (22)", theirs=["500*", "405*", "404*"], reason=READ_ONLY),
    Intended(where="body", theirs="b''", ours="{'Code': 'storage.read_only'*", reason=READ_ONLY),
    Intended(where="header/etag", theirs="(absent)", reason="What can be asked again has one."),
]


class Both:
    """Both servers, asked the same."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs

    def __iter__(self):
        return iter((self.ours, self.theirs))

    def answers(self, method, path, body=None):
        request = Request(f"{method} {path}", method, path, body)
        return request, ask(self.ours.http, request), ask(self.theirs.http, request)

    def ask(self, method, path, body=None):
        """Ask both, compare the answers, and return the status that both gave, or ours."""
        request, ours, theirs = self.answers(method, path, body)
        left = unlisted(compare(request, ours, theirs), INTENDED)
        assert not left, report(left)
        return ours.status_code

    def upload(self, patient, number=1, **attributes):
        return self.ask("POST", "/instances", file(patient, number, **attributes))

    def patients(self):
        """Return which patients both hold."""
        assert self.ask("GET", "/patients?expand") == 200
        found = self.ours.http.get("/patients?expand").json()
        return sorted(one["MainDicomTags"]["PatientID"] for one in found)

    def told(self, kind):
        """Return what the feeds tell of a kind, as (type, id), by server."""
        asked = f"/changes?limit=1000&type={kind}"
        pages = [server.http.get(asked).json() for server in self]
        return [[(one["ChangeType"], one["ID"]) for one in page["Changes"]] for page in pages]


def path(patient):
    return f"/patients/{public_id([patient])}"


def file(patient, number=1, **attributes):
    return encoded(image(patient, 1, 1, number, **attributes))


@pytest.fixture
def start(tmp_path):
    """Start both with settings of ours and keys of theirs, over what they held before."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    program = peer_program()
    with contextlib.ExitStack() as ending:

        def run(settings, keys):
            ending.close()  # of those that ran before
            flags = [f"--set={name}={value}" for name, value in settings.items()]
            ours = Server(tmp_path / "ours" / "data", *flags)
            theirs = Orthanc(program, folder, **keys)
            ending.callback(theirs.stop)
            ending.callback(ended, ours)
            return Both(ours.start(), theirs.start())

        yield run


def ended(server):
    if server.process is not None and server.process.poll() is None:
        server.stop()


def test_who_is_not_protected_makes_room_and_what_is_quiet_is_stable(start):
    both = start(
        {
            "storage.maximum_patients": 2,
            "storage.maximum_mode": "recycle",
            "storage.stable_age_s": 1,
            "dicom.unknown_callers": "echo",
        },
        {"MaximumPatientCount": 2, "MaximumStorageMode": "Recycle", "StableAge": 1},
    )
    for patient in ("P1", "P2"):
        assert both.upload(patient) == 200
    assert both.ask("GET", path("P1")) == 200
    assert both.ask("PUT", f"{path('P1')}/protected", b"1") == 200
    assert both.upload("P3") == 200
    assert both.patients() == ["P1", "P3"]
    assert both.upload("P3", 2) == 200  # P3 is the newest still, and the only one that may go
    assert both.upload("P4") == 200
    assert both.patients() == ["P1", "P4"]
    assert both.ask("PUT", f"{path('P1')}/protected", b"0") == 200
    assert both.upload("P5") == 200
    # Who is protected no longer is as old as he is; Orthanc takes him for the newest.
    gone = [
        server.http.get(path(one)).status_code
        for server, one in zip(both, ("P1", "P4"), strict=True)
    ]
    assert gone == [404, 404]
    assert both.upload("P5", 2) == both.upload("P6") == both.upload("P7") == 200
    assert both.patients() == ["P6", "P7"]
    quiet(both, 6)
    assert is_stable(both, "P7") == (True, True)
    assert both.upload("P7", 2) == 200
    quiet(both, 9)  # all of it once more, since there is something new


def quiet(both, count):
    """Wait until both have told so often that something went quiet, and told the same."""
    kinds = "StablePatient;StableStudy;StableSeries"
    end = time.monotonic() + END_S
    while not all(len(told) == count for told in both.told(kinds)):
        assert time.monotonic() < end, both.told(kinds)
        time.sleep(0.05)
    ours, theirs = both.told(kinds)
    assert sorted(ours) == sorted(theirs)


def is_stable(both, patient):
    _, *answers = both.answers("GET", path(patient))
    return tuple(answer.json()["IsStable"] for answer in answers)


def test_what_a_full_archive_has_no_room_for_is_refused(start):
    both = start(
        {
            "storage.maximum_patients": 1,
            "storage.maximum_bytes": 1 << 20,
            "storage.maximum_mode": "reject",
        },
        {"MaximumPatientCount": 1, "MaximumStorageSize": 1, "MaximumStorageMode": "Reject"},
    )
    assert both.upload("P1") == 200
    assert both.upload("P2") == 507
    assert both.upload("P1") == 200, "what is there already needs no room"
    assert both.upload("P1", 2) == 200
    assert both.upload("P1", 3, PixelData=bytes(2 << 20)) == 507
    assert both.patients() == ["P1"]
    assert both.ask("GET", "/statistics") == 200
    assert both.ask("DELETE", path("P1")) == 200
    assert both.upload("P2") == 200
    assert both.patients() == ["P2"]


def test_a_read_only_archive_reads_and_refuses_the_rest_and_both_can_be_told_to_end(start):
    both = start({}, {})
    assert both.upload("P1") == 200
    both = start({"storage.read_only": "true"}, {"ReadOnly": True})
    patient = path("P1")
    assert both.patients() == ["P1"]
    for method, wanted, body in (
        ("POST", "/instances", file("P2")),
        ("POST", "/instances", file("P1")),
        ("DELETE", patient, None),
        ("PUT", f"{patient}/labels/x", b""),
        ("PUT", f"{patient}/metadata/1024", b"x"),
        ("PUT", f"{patient}/attachments/1024", b"x"),
        ("PUT", f"{patient}/protected", b"1"),
        ("POST", f"{patient}/anonymize", b"{}"),
        ("DELETE", "/changes", None),
        ("POST", "/tools/bulk-delete", json.dumps({"Resources": [public_id(["P1"])]}).encode()),
    ):
        assert both.ask(method, wanted, body) >= 400, (method, wanted)
    for wanted in (patient, f"{patient}/metadata", f"{patient}/labels", "/statistics"):
        assert both.ask("GET", wanted) == 200
    assert both.ask("POST", "/tools/shutdown", b"") == 200
    for server in both:
        server.process.wait(END_S)
