"""Notes of resources against a simple model: any order of what clients do, crashes and rebuilds."""

import hashlib
import os
import zlib

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pydicom.uid import generate_uid
from support import make_instance
from support_cli import vna

# A short run; VNA_NOTES_EXAMPLES makes it a long one.
EXAMPLES = int(os.environ.get("VNA_NOTES_EXAMPLES", "4"))
STEPS = 30
# Starts of a server cost more than all else: one in so many that might be.
RARELY = 12
LARGE = 65_536  # bytes of what gets a file of its own
SMALL = ("--set=storage.segment_bytes=1048576", f"--set=storage.large_object_bytes={LARGE}")

places = st.sampled_from(["patients", "studies", "series", "instances/0", "instances/1"])
kinds = st.sampled_from(["metadata", "attachments"])
numbers = st.sampled_from([1024, 65535])
contents = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda byte, count: byte * count, st.binary(min_size=1, max_size=3), st.just(30_000)),
)
# Which revision a client has seen.
seen = st.sampled_from(["none", "this", "this", "before", "other bytes", "no revision"])


class Note:
    """Metadata or an attachment as it must be."""

    def __init__(self, revision, content):
        self.revision = revision
        self.content = content
        self.is_compressed = False

    def etag(self, revision=0, content=b""):
        md5 = hashlib.md5(self.content + content).hexdigest()
        return f'"{self.revision + revision}-{md5}"'


def header(name, seen, note):
    """The header by which a client tells what it has seen."""
    note = note or Note(3, b"imagined")
    told = {
        "this": note.etag(),
        "before": note.etag(revision=1),
        "other bytes": note.etag(content=b"x"),
        "no revision": "abc",
    }
    return {name: told[seen]} if seen in told else {}


class Notes(RuleBasedStateMachine):
    """A patient with one series of two instances, and what is noted of them all."""

    server = None

    def __init__(self):
        super().__init__()
        study, series, patient = generate_uid(), generate_uid(), f"P{generate_uid()[-20:]}"
        self.files = [make_instance(study, series, patient, number) for number in (1, 2)]
        self.live = set()
        self.ids = {}
        self.notes = {}
        self.labels = {}
        for number in (0, 1):
            self.upload(number)

    def request(self, method, path, status=200, **options):
        answer = self.server.http.request(method, path, **options)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer

    def path(self, place):
        return f"/{place.split('/')[0]}/{self.ids[place]}"

    def is_there(self, place):
        _, _, number = place.partition("/")
        return int(number) in self.live if number else bool(self.live)

    def upload(self, number):
        told = self.server.upload(self.files[number])
        self.live.add(number)
        self.ids |= {
            "patients": told["ParentPatient"],
            "studies": told["ParentStudy"],
            "series": told["ParentSeries"],
            f"instances/{number}": told["ID"],
        }

    @property
    def must_tell(self):
        return "--set=notes.check_revisions=true" in self.server.flags

    def refusal(self, note, seen):
        """The status that a change is refused with, or None."""
        if seen == "no revision":
            return 400
        if note is None or seen == "this":
            return None
        if seen == "none":
            return 409 if self.must_tell else None
        return 409

    @rule(place=places, kind=kinds, number=numbers, content=contents, seen=seen)
    def put(self, place, kind, number, content, seen):
        note = self.notes.get((place, kind, number))
        path = f"{self.path(place)}/{kind}/{number}"
        headers = header("If-Match", seen, note)
        refused = self.refusal(note, seen)
        if not self.is_there(place):
            refused = refused or 404
        answer = self.request("PUT", path, refused or 200, content=content, headers=headers)
        if refused is None:
            note = Note(0 if note is None else note.revision + 1, content)
            self.notes[place, kind, number] = note
            assert answer.headers["ETag"] == note.etag()

    @rule(place=places, kind=kinds, number=numbers, seen=seen)
    def delete(self, place, kind, number, seen):
        note = self.notes.get((place, kind, number))
        path = f"{self.path(place)}/{kind}/{number}"
        refused = self.refusal(note, seen)
        if note is None:
            refused = refused or 404
        self.request("DELETE", path, refused or 200, headers=header("If-Match", seen, note))
        if refused is None:
            del self.notes[place, kind, number]

    @rule(place=places, kind=kinds, number=numbers, seen=seen)
    def read(self, place, kind, number, seen):
        note = self.notes.get((place, kind, number))
        path = f"{self.path(place)}/{kind}/{number}"
        if kind == "attachments":
            path += "/data"
        status = 404 if note is None else {"this": 304, "no revision": 400}.get(seen, 200)
        answer = self.request("GET", path, status, headers=header("If-None-Match", seen, note))
        if status in (200, 304):
            assert answer.headers["ETag"] == note.etag()
            assert answer.content == (note.content if status == 200 else b"")

    @rule(place=places, number=numbers, is_compressed=st.booleans())
    def compress(self, place, number, is_compressed):
        note = self.notes.get((place, "attachments", number))
        path = f"{self.path(place)}/attachments/{number}"
        how = "compress" if is_compressed else "uncompress"
        self.request("POST", f"{path}/{how}", 200 if note else 404)
        if note and note.is_compressed != is_compressed:
            note.is_compressed = is_compressed
            note.revision += 1

    @rule(place=places, label=st.sampled_from(["a", "B-1_"]), is_given=st.booleans())
    def label(self, place, label, is_given):
        method = "PUT" if is_given else "DELETE"
        status = 200 if self.is_there(place) else 404
        self.request(method, f"{self.path(place)}/labels/{label}", status)
        if status == 200:
            labels = self.labels.setdefault(place, set())
            (labels.add if is_given else labels.discard)(label)

    @rule(place=places)
    def delete_resource(self, place):
        self.request("DELETE", self.path(place), 200 if self.is_there(place) else 404)
        _, _, number = place.partition("/")
        self.live -= {int(number)} if number else {0, 1}
        self.notes = {key: note for key, note in self.notes.items() if self.is_there(key[0])}
        self.labels = {key: labels for key, labels in self.labels.items() if self.is_there(key)}

    @rule(number=st.sampled_from([0, 1]))
    def upload_again(self, number):
        self.upload(number)

    @rule(chance=st.integers(1, RARELY), is_rebuilt=st.booleans(), must_tell=st.booleans())
    def restart(self, chance, is_rebuilt, must_tell):
        if chance < RARELY:
            return
        self.server.kill()
        told = str(must_tell).lower()
        self.server.flags = [*SMALL, f"--set=notes.check_revisions={told}"]
        if is_rebuilt:
            self.server.start()
            assert self.server.stop() == 0
            done = vna("reindex", "--root", self.server.root)
            assert done.returncode == 0, done.stderr
            done = vna("check", "--root", self.server.root)
            assert done.stdout.endswith("all is well\n"), done.stdout
        self.server.start()

    @invariant()
    def lists_have_what_there_is(self):
        for place in self.ids:
            if not self.is_there(place):
                self.request("GET", f"{self.path(place)}/attachments", 404)
                continue
            path = self.path(place)
            here = {
                (kind, str(number)): note
                for (where, kind, number), note in self.notes.items()
                if where == place
            }
            names = set(self.request("GET", f"{path}/attachments").json()) - {"dicom"}
            assert names == {name for kind, name in here if kind == "attachments"}
            shown = self.request("GET", f"{path}/metadata?numeric").json()
            users = {str(number) for number in shown if int(number) >= 1024}
            assert users == {name for kind, name in here if kind == "metadata"}
            labels = self.request("GET", f"{path}/labels").json()
            assert labels == sorted(self.labels.get(place, ()))

    def teardown(self):
        for (place, kind, number), note in self.notes.items():
            path = f"{self.path(place)}/{kind}/{number}"
            if kind == "metadata":
                assert self.request("GET", path).content == note.content
                continue
            assert self.request("GET", f"{path}/data").content == note.content
            stored = self.request("GET", f"{path}/compressed-data").content
            assert (zlib.decompress(stored[8:]) if note.is_compressed else stored) == note.content
            assert self.request("GET", f"{path}/is-compressed").text == str(int(note.is_compressed))
            self.request("POST", f"{path}/verify-md5")
        if self.live:
            self.request("DELETE", self.path("patients"))


def test_notes_are_those_of_a_simple_model_whatever_clients_do(start_server):
    Notes.server = start_server(*SMALL)
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize="VNA_NOTES_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Notes, settings=chosen)
    statistics = Notes.server.get("/statistics")
    assert int(statistics["TotalDiskSize"]) == 0
