"""What DICOMweb says of an archive that changes, against a model that has the files themselves.

Any order of storing, storing again, deleting, bringing back and changing; after each step what is
found, what metadata says and what is retrieved are those of the files that are there.
"""

import io
import json
import os
from collections import defaultdict

import pydicom
import pytest
from find_oracle import value_of
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from oracle import is_universal, matches
from pydicom.dataset import Dataset
from support import Server, make_instance
from support_target import DICOM, JSON, OCTETS, XML, Target, multipart, parts, related
from web_files import new_uid
from web_models import of_xml

EXAMPLES = int(os.environ.get("VNA_WEB_EXAMPLES", "4"))
STEPS = int(os.environ.get("VNA_WEB_STEPS", "12"))
# A series of so many and more has its metadata kept (`LEAST_INSTANCES` of the archive).
KEPT = 4
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
# Attributes that differ, by the level that they are said of; changing a study changes all of it.
DESCRIPTIONS = ["Thorax", "thorax p.a.", "Schädel", "Knee, left"]
NUMBERS = ["1", "2", "17"]
places = st.tuples(st.integers(0, 1), st.integers(0, 1))
slots = st.integers(0, 5)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    flags = ("--set=dicomweb.delete=true", "--set=storage.duplicates=always")
    one = Server(tmp_path_factory.mktemp("states") / "data", *flags).start()
    yield one
    assert one.stop() == 0


class Archive(RuleBasedStateMachine):
    """Studies of one patient, whom nobody else has; `server` is set by who runs it."""

    server = None

    @initialize(slices=st.integers(1, KEPT + 2), description=st.sampled_from(DESCRIPTIONS))
    def begin(self, slices, description):
        self.web = Target(f"{self.server.url}/dicom-web")
        self.patient = new_uid()
        self.uids = {}
        # What is there, by the place of an instance: its file.
        self.here = {}
        # What went, in the order in which it went.
        self.gone = []
        self.descriptions = defaultdict(lambda: description)
        self.number = 0
        self.send([(0, 0, slot) for slot in range(slices)])

    def uid(self, *place):
        if place not in self.uids:
            self.uids[place] = new_uid()
        return self.uids[place]

    def file(self, study, series, slot):
        self.number += 1
        return make_instance(
            study=self.uid(study),
            series=self.uid(study, series),
            patient=self.patient,
            number=slot,
            SOPInstanceUID=self.uid(study, series, slot),
            SpecificCharacterSet="ISO_IR 192",
            StudyDescription=self.descriptions[study],
            SeriesNumber=series,
            ImageComments=f"version {self.number}",
            AcquisitionNumber=NUMBERS[self.number % 3],
        )

    def send(self, wanted):
        files = {place: self.file(*place) for place in wanted}
        headers, body = related(DICOM, list(files.values()))
        answer = self.web.post("/studies", body, headers)
        assert answer.status_code == 200, answer.text
        self.here |= files

    @rule(place=places, wanted=st.sets(slots, min_size=1, max_size=4))
    def store(self, place, wanted):
        """Store instances of a series, late ones or others in the place of what is there."""
        self.send([(*place, slot) for slot in sorted(wanted)])

    @rule(place=places, slot=slots)
    def store_by_metadata(self, place, slot):
        """Store one by metadata and bulk data."""
        data = self.file(*place, slot)
        dataset = pydicom.dcmread(io.BytesIO(data))
        metadata = dataset.to_json_dict(1 << 20, lambda _: "never")
        metadata["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
        bodies = [json.dumps([metadata]).encode(), dataset.PixelData]
        kinds = [JSON, f"{OCTETS}; transfer-syntax={dataset.file_meta.TransferSyntaxUID}"]
        headers, body = related(JSON, bodies, types=kinds, locations=[None, "pixels"])
        answer = self.web.post(f"/studies/{dataset.StudyInstanceUID}", body, headers)
        assert answer.status_code == 200, answer.text
        self.here[*place, slot] = self.retrieved((*place, slot))

    def path(self, *place):
        names = ("studies", "series", "instances")
        uids = [self.uid(*place[: depth + 1]) for depth in range(len(place))]
        return "".join(f"/{name}/{uid}" for name, uid in zip(names, uids, strict=False))

    def below(self, place):
        return {one for one in self.here if one[: len(place)] == place}

    def retrieved(self, place):
        return self.web.ok(self.path(*place), f'{DICOM}; transfer-syntax="*"').content

    @rule(place=places, slot=slots, depth=st.sampled_from([1, 2, 2, 3, 3]))
    def delete(self, place, slot, depth):
        """Delete an instance, a series or a study."""
        target = (*place, slot)[:depth]
        found = self.below(target)
        answer = self.web.http.delete(self.web.url + self.path(*target))
        assert answer.status_code == 204 if found else answer.status_code in (404, 410)
        if found:
            self.gone.append({one: self.here.pop(one) for one in found})

    @rule()
    def restore(self):
        """Bring back what was deleted last, but what others have the place of by now."""
        if not self.gone:
            return
        back = self.gone.pop()
        ids = [public_id(data) for data in back.values()]
        answer = self.server.http.post("/tools/undelete", json={"Resources": ids})
        assert answer.status_code == 200, answer.text
        self.here = back | self.here

    @rule(study=st.integers(0, 1), description=st.sampled_from(DESCRIPTIONS))
    def modify(self, study, description):
        """Change what a study says, in its place."""
        found = self.below((study,))
        if not found:
            return
        body = {
            "Replace": {"StudyDescription": description},
            "Keep": list(UIDS),
            "Force": True,
            "KeepSource": True,
        }
        first = next(iter(found))
        study_id = self.server.get(f"/instances/{public_id(self.here[first])}/study")["ID"]
        answer = self.server.http.post(f"/studies/{study_id}/modify", json=body)
        assert answer.status_code == 200, answer.text
        self.descriptions[study] = description
        for place in found:
            before, after = read(self.here[place]), read(self.retrieved(place))
            assert after.StudyDescription == description
            assert after.PixelData == before.PixelData
            assert after.ImageComments == before.ImageComments
            self.here[place] = self.retrieved(place)

    @rule(place=places, depth=st.sampled_from([1, 2]))
    def retrieve(self, place, depth):
        """Retrieve a study or a series; all files are those that are there."""
        target = place[:depth]
        found = self.below(target)
        answer = self.web.get(self.path(*target), multipart(DICOM, 'transfer-syntax="*"'))
        if not found:
            assert answer.status_code in (404, 410)
            return
        bodies = [part.body for part in parts(answer)]
        assert sorted(bodies) == sorted(self.here[one] for one in found)

    @rule(place=places, name=st.sampled_from(["ImageComments", "AcquisitionNumber"]))
    def look_for_values(self, place, name):
        """Find the instances that have a value of one of them."""
        found = self.below(place)
        for one in sorted(found)[:2]:
            key = value_of(read(self.here[one]), name)
            self.compare(place, {name: key})

    @rule(
        place=places,
        key=st.sampled_from(["version 1*", "*2", "version ?", "", "*", "nothing"]),
        limit=st.none() | st.integers(0, 3),
        offset=st.integers(0, 2),
    )
    def look_for_patterns(self, place, key, limit, offset):
        """Find instances by a wildcard, page by page."""
        self.compare(place, {"ImageComments": key}, limit, offset)

    def compare(self, place, keys, limit=None, offset=0):
        expected = {
            self.uid(*one)
            for one in self.below(place)
            if all(
                is_universal(key) or matches(read(self.here[one])[name], key, folded=False)
                for name, key in keys.items()
            )
        }
        path = f"{self.path(*place)}/instances"
        found = [told(one) for one in self.web.search(path, keys)]
        uids = [one.SOPInstanceUID for one in found]
        assert sorted(uids) == sorted(expected), keys
        page = {"offset": offset} | ({} if limit is None else {"limit": limit})
        end = None if limit is None else offset + limit
        paged = self.web.search(path, keys | page)
        assert [told(one).SOPInstanceUID for one in paged] == uids[offset:end]
        by_uid = {self.uid(*one): one for one in self.below(place)}
        for one in found:
            stored = read(self.here[by_uid[one.SOPInstanceUID]])
            assert all(value_of(one, name) == value_of(stored, name) for name in keys)

    @rule(description=st.sampled_from(DESCRIPTIONS))
    def look_for_studies(self, description):
        """Find the studies of the patient, and those that are described so."""
        firsts = {}
        for place in sorted(self.here):
            firsts.setdefault(place[0], []).append(place)
        for key in ("", description):
            keys = {"PatientID": self.patient, "StudyDescription": key}
            found = {
                one.StudyInstanceUID: one for one in map(told, self.web.search("/studies", keys))
            }
            expected = {
                self.uid(study): places
                for study, places in firsts.items()
                if not key or self.described(study) == key
            }
            assert found.keys() == expected.keys()
            for uid, inside in expected.items():
                one = found[uid]
                assert one.NumberOfStudyRelatedInstances == len(inside)
                assert one.NumberOfStudyRelatedSeries == len({place[:2] for place in inside})

    def described(self, study):
        return self.descriptions[study]

    @invariant()
    def metadata_is_that_of_the_files(self):
        if not hasattr(self, "web"):
            return
        for place in {one[:2] for one in self.here}:
            self.check_series(place)

    def check_series(self, place):
        expected = {self.uid(*one): self.here[one] for one in self.below(place)}
        path = f"{self.path(*place)}/metadata"
        for _ in range(2):  # as it is written, and as it is kept
            found = [told(one) for one in self.web.ok(path, JSON).json()]
            assert len(found) == len(expected)
            for one in found:
                assert said(one) == said(read(expected[one.SOPInstanceUID]))
        documents = parts(self.web.ok(path, multipart(XML)))
        comments = [of_xml(part.body, lambda _: b"")[0x0020_4000][1] for part in documents]
        stored = [(str(read(data).ImageComments),) for data in expected.values()]
        assert sorted(comments) == sorted(stored)


def read(data):
    return pydicom.dcmread(io.BytesIO(data))


def told(found):
    return Dataset.from_json(found, lambda *_: None)


def said(dataset):
    """Return what both a file and its metadata have."""
    return {
        element.keyword: value_of(dataset, element.keyword)
        for element in dataset
        if element.keyword not in ("PixelData", "SpecificCharacterSet")
    }


def public_id(data):
    """Return the id of an instance as Orthanc makes it."""
    import hashlib

    dataset = read(data)
    names = ("PatientID", *UIDS)
    digest = hashlib.sha1("|".join(str(dataset[name].value) for name in names).encode()).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


def test_what_is_told_is_what_is_there_whatever_happened(server):
    Archive.server = server
    run_state_machine_as_test(
        Archive,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
