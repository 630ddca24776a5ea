"""What the tests of the DICOM network share: a study to send, our server, and ways to ask."""

import json
import shutil
import subprocess
from pathlib import Path

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from support import make_instance

STUDY_KEYS = ["-k", "QueryRetrieveLevel=STUDY"]


def run(*words, folder=None, status=0):
    """Run a program of DCMTK and return what it said."""
    path = shutil.which(words[0])
    assert path, f"{words[0]} is missing: install dcmtk, as make test does"
    done = subprocess.run(
        [path, *map(str, words[1:])], capture_output=True, text=True, timeout=60, cwd=folder
    )
    assert done.returncode == status, f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


class Study:
    """One study of `count` small images, as files and as data sets."""

    def __init__(self, folder, count=3, **attributes):
        self.uid, series = generate_uid(), generate_uid()
        self.files = []
        for number in range(count):
            path = Path(folder) / f"{number}.dcm"
            data = make_instance(study=self.uid, series=series, number=number, **attributes)
            path.write_bytes(data)
            self.files.append(path)
        self.data_sets = [pydicom.dcmread(path) for path in self.files]
        self.instances = {one.SOPInstanceUID for one in self.data_sets}


class Ours:
    """Our server, and what tests ask of it."""

    def __init__(self, server):
        self.server = server
        self.host, self.port = "127.0.0.1", server.dicom_port

    def know(self, name, aet, port, **more):
        body = {"AET": aet, "Host": "127.0.0.1", "Port": port} | more
        answer = self.server.http.put(f"/modalities/{name}", json=body)
        assert answer.status_code == 200, answer.text

    def post(self, path, body=None, status=200):
        answer = self.server.http.post(path, content=json.dumps(body or {}), timeout=60)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def upload(self, study):
        return [self.server.upload(path.read_bytes())["ID"] for path in study.files]

    def holds(self, study):
        """Return which instances of a study we hold."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study.uid}, "Expand": True}
        found = self.post("/tools/find", query)
        return {one["MainDicomTags"]["SOPInstanceUID"] for one in found}


def arrived(peer):
    """Return what a destination has stored."""
    found = set()
    for path in peer.folder.iterdir():
        if path.suffix != ".log":
            found.add(pydicom.dcmread(path).SOPInstanceUID)
    return found


def ask_orthanc(peer, path, body=None):
    answer = peer.http.post(path, json=body if body is not None else {})
    assert answer.status_code == 200, (path, answer.status_code, answer.text, peer.output()[-2000:])
    return answer.json() if answer.content else None


def upload_to_orthanc(peer, study):
    return [ask_orthanc_upload(peer, path) for path in study.files]


def ask_orthanc_upload(peer, path):
    answer = peer.http.post("/instances", content=path.read_bytes())
    assert answer.status_code == 200, answer.text
    return answer.json()["ID"]


def associate(ours, *contexts, title="SCU", **options):
    """Open an association of pynetdicom with us; `contexts` are (SOP class, transfer syntaxes)."""
    ae = AE(title)
    for uid, syntaxes in contexts:
        ae.add_requested_context(uid, syntaxes)
    association = ae.associate(ours.host, ours.port, ae_title="VNA", **options)
    assert association.is_established
    return association


UNCOMPRESSED = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def found_by_orthanc(orthanc, level, query):
    made = ask_orthanc(orthanc, "/modalities/vna/query", {"Level": level, "Query": query})
    return made["ID"], orthanc.http.get(f"/queries/{made['ID']}/answers?expand&simplify").json()


def found_by_us(ours, name, level, query):
    made = ours.post(f"/modalities/{name}/query", {"Level": level, "Query": query})
    return made["ID"], ours.server.get(f"/queries/{made['ID']}/answers?expand&simplify")


def by_keyword(data_set):
    """Return a data set by keywords, as REST clients write it."""
    found = {}
    for element in data_set:
        if element.VR == "SQ":
            found[element.keyword] = [by_keyword(item) for item in element.value]
        elif element.keyword != "SpecificCharacterSet":
            found[element.keyword] = str(element.value)
    return found
