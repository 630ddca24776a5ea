"""Three tenants and a view by label, the same identifiers in all of them, and a model."""

import io
import json
from dataclasses import dataclass, field
from itertools import product

import httpx
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from support import awake, data_set_bytes, make_instance, send
from support_cli import vna

TENANTS = (1, 2, 3)
TITLES = {1: "VNA", 2: "TWO", 3: "THREE"}
VIEW, VIEW_LABEL = "TEACH", "teaching"  # of tenant 1
PASSWORD = "correct horse"
CONFIGURATION = """\
[dicom]
unknown_callers = ["echo", "store", "find", "get", "move"]
[[dicom.ae_titles]]
aet = "TWO"
tenant = 2
[[dicom.ae_titles]]
aet = "THREE"
tenant = 3
[[dicom.ae_titles]]
aet = "TEACH"
label = "teaching"
[[dicom.modalities]]
name = "destination"
aet = "DESTINATION"
host = "127.0.0.1"
port = {port}
"""
LEVELS = ("patients", "studies", "series", "instances")
ROOT = "1.2.826.0.1.3680043.8.498.7"
# Patient, study, instance: all of a study in one series.
EVERYONE = tuple(product((1, 2), (1, 2), (1, 2)))


def file_of(who, tenant):
    """Return an instance: the same identifiers whoever has it, but other bytes."""
    patient, study, number = who
    uid = f"{ROOT}.{patient}.{study}"
    return make_instance(
        uid,
        f"{uid}.1",
        patient=f"P{patient}",
        number=number,
        size=16,
        SOPInstanceUID=f"{uid}.1.{number}",
        ImageComments=f"of tenant {tenant}",
        PixelData=bytes([tenant]) * 16,
    )


FILES = {(who, tenant): file_of(who, tenant) for who in EVERYONE for tenant in TENANTS}


@dataclass
class Model:
    """What a tenant has."""

    live: set = field(default_factory=set)
    ever: set = field(default_factory=set)
    labels: dict = field(default_factory=dict)  # of studies, by (patient, study)

    def store(self, who):
        self.live.add(who)
        self.ever.add(who)

    def delete(self, patient, study):
        self.live = {who for who in self.live if who[:2] != (patient, study)}
        self.labels.pop((patient, study), None)

    def studies(self):
        return {who[:2] for who in self.live}


class Archives:
    """A server, a client of each tenant, and what each must see."""

    def __init__(self, start_server, folder):
        configuration = folder / "vna.toml"
        self.received = {}
        self.destination = self.start_destination()
        port = self.destination.server_address[1]
        configuration.write_text(CONFIGURATION.format(port=port))
        self.server = start_server(f"--config={configuration}", root=folder / "data")
        for tenant in TENANTS:
            arguments = ("user", "add", f"user{tenant}", "--role=admin", f"--tenant={tenant}")
            added = vna(
                *arguments,
                "--password-stdin",
                "--root",
                self.server.root,
                data=PASSWORD.encode() + b"\n",
            )
            assert added.returncode == 0, added.stderr
        self.ids = {}  # of each level, by who
        self.models = {tenant: Model() for tenant in TENANTS}
        self.clients = {}
        self.connect()
        # So that the ids of all are known, however they come later.
        for who in EVERYONE:
            self.store(3, who)

    def start_destination(self):
        """Start what C-MOVE sends to; it keeps a comment of each instance in `received`."""

        def keep(event):
            uid = event.request.AffectedSOPInstanceUID
            self.received[uid] = event.dataset.ImageComments
            return 0

        entity = AE(ae_title="DESTINATION")
        entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
        handlers = [(evt.EVT_C_STORE, keep)]
        return entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def connect(self):
        """Make a client of each tenant."""
        self.clients = {
            tenant: httpx.Client(
                base_url=self.server.url, auth=(f"user{tenant}", PASSWORD), timeout=60
            )
            for tenant in TENANTS
        }

    def get(self, tenant, path):
        answer = self.clients[tenant].get(path)
        assert answer.status_code == 200, (tenant, path, answer.text)
        return answer.json()

    def post(self, tenant, path, body):
        answer = self.clients[tenant].post(path, json=body)
        assert answer.status_code == 200, (tenant, path, answer.text)
        return answer.json()

    def learn(self, who, answer):
        """Note the ids that an upload told; they are the same for every tenant."""
        ids = [answer[name] for name in ("ParentPatient", "ParentStudy", "ParentSeries", "ID")]
        assert self.ids.setdefault(who, ids) == ids

    def store(self, tenant, who):
        data = FILES[who, tenant]
        answer = self.clients[tenant].post("/instances", content=data)
        assert answer.status_code == 200, answer.text
        assert answer.json()["Status"] == (
            "AlreadyStored" if who in self.models[tenant].live else "Success"
        )
        self.learn(who, answer.json())
        self.models[tenant].store(who)

    def store_over_dicom(self, title, who):
        tenant = next((one for one in TENANTS if TITLES[one] == title), 1)
        with self.associated(title, [CTImageStorage]) as association:
            data_set = pydicom.dcmread(io.BytesIO(FILES[who, tenant]))
            assert send(association, data_set).Status == 0
        self.models[tenant].store(who)
        if title == VIEW:
            self.models[tenant].labels.setdefault(who[:2], set()).add(VIEW_LABEL)

    def delete(self, tenant, patient, study):
        """Delete a study, which another tenant may have too, or this one not."""
        study_id = self.ids[patient, study, 1][1]
        answer = self.clients[tenant].delete(f"/studies/{study_id}")
        there = (patient, study) in self.models[tenant].studies()
        assert answer.status_code == (200 if there else 404), answer.text
        self.models[tenant].delete(patient, study)

    def undelete(self, tenant, patient, study):
        """Bring a study back, of what this tenant deleted."""
        study_id = self.ids[patient, study, 1][1]
        deleted = self.get(tenant, "/tools/deleted")
        self.post(tenant, "/tools/undelete", {"Resources": [study_id]})
        assert len(self.get(tenant, "/tools/deleted")) <= len(deleted)
        self.look_again(tenant, patient, study)

    def look_again(self, tenant, patient, study):
        """Take over what a study holds after an undeletion: all of it was there once."""
        model = self.models[tenant]
        found = {
            who
            for who in EVERYONE
            if who[:2] == (patient, study)
            and self.clients[tenant].get(f"/instances/{self.ids[who][3]}").status_code == 200
        }
        assert {who for who in model.live if who[:2] == (patient, study)} <= found <= model.ever
        model.live |= found
        if found:
            study_id = self.ids[next(iter(found))][1]
            model.labels[patient, study] = set(self.get(tenant, f"/studies/{study_id}/labels"))

    def label(self, tenant, patient, study, label, method):
        study_id = self.ids[patient, study, 1][1]
        answer = self.clients[tenant].request(method, f"/studies/{study_id}/labels/{label}")
        model = self.models[tenant]
        there = (patient, study) in model.studies()
        assert answer.status_code == (200 if there else 404), answer.text
        if there:
            labels = model.labels.setdefault((patient, study), set())
            labels.add(label) if method == "PUT" else labels.discard(label)

    def associated(self, title, contexts, roles=(), handlers=()):
        entity = AE(ae_title="PEER")
        for uid in contexts:
            entity.add_requested_context(uid, ExplicitVRLittleEndian)
        association = entity.associate(
            self.server.dicom_host,
            self.server.dicom_port,
            ae_title=title,
            ext_neg=list(roles),
            evt_handlers=list(handlers),
        )
        assert association.is_established
        return Associated(association)

    def found_over_dicom(self, title, level):
        """Return the UIDs of a level that a C-FIND of everything tells."""
        names = {"STUDY": "StudyInstanceUID", "IMAGE": "SOPInstanceUID"}
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        setattr(identifier, names[level], "")
        model = StudyRootQueryRetrieveInformationModelFind
        found = set()
        with self.associated(title, [model]) as association:
            if level == "STUDY":
                identifiers = [identifier]
            else:
                identifiers = []
                for patient, study in product((1, 2), (1, 2)):
                    one = Dataset()
                    one.update(identifier)
                    one.StudyInstanceUID = f"{ROOT}.{patient}.{study}"
                    one.SeriesInstanceUID = f"{ROOT}.{patient}.{study}.1"
                    identifiers.append(one)
            for each in identifiers:
                answers = list(awake(association).send_c_find(each, model))
                assert answers[-1][0].Status == 0
                found |= {str(answer[names[level]].value) for _, answer in answers[:-1]}
        return found

    def got_over_dicom(self, title, patient, study):
        """Return the instances of a study that a C-GET brings, by SOP Instance UID."""
        brought = {}

        def keep(event):
            brought[event.request.AffectedSOPInstanceUID] = event.dataset.ImageComments
            return 0

        model = StudyRootQueryRetrieveInformationModelGet
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = f"{ROOT}.{patient}.{study}"
        roles = [build_role(CTImageStorage, scp_role=True)]
        handlers = [(evt.EVT_C_STORE, keep)]
        contexts = [model, CTImageStorage]
        with self.associated(title, contexts, roles, handlers) as association:
            for _ in awake(association).send_c_get(identifier, model):
                pass
        return brought

    def moved_over_dicom(self, title, patient, study):
        """Return the instances of a study that a C-MOVE sends, by SOP Instance UID."""
        self.received.clear()
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = f"{ROOT}.{patient}.{study}"
        model = StudyRootQueryRetrieveInformationModelMove
        with self.associated(title, [model]) as association:
            for _ in association.send_c_move(identifier, "DESTINATION", model):
                pass
        return dict(self.received)

    def check(self):
        """Hold everything that each tenant is shown against its model."""
        for tenant in TENANTS:
            self.check_rest(tenant)
        for title, tenant in [*((TITLES[one], one) for one in TENANTS), (VIEW, 1)]:
            self.check_dicom(title, tenant)

    def check_rest(self, tenant):
        model = self.models[tenant]
        for at, level in enumerate(LEVELS):
            expected = {self.ids[who][at] for who in model.live}
            assert set(self.get(tenant, f"/{level}")) == expected
            asked = {"Level": level, "Query": {"PatientID": "P*"}}
            assert set(self.post(tenant, "/tools/find", asked)) == expected
            counted = self.post(tenant, "/tools/count-resources", asked)
            assert counted == {"Count": len(expected)}
        statistics = self.get(tenant, "/statistics")
        assert statistics["CountInstances"] == len(model.live)
        assert statistics["CountStudies"] == len(model.studies())
        self.check_single(tenant)
        changes = self.get(tenant, "/changes?limit=100000&type=NewInstance")["Changes"]
        told = {change["ID"] for change in changes}
        assert {self.ids[who][3] for who in model.live} <= told
        assert told <= {self.ids[who][3] for who in model.ever}
        taken = {label for labels in model.labels.values() for label in labels}
        assert set(self.get(tenant, "/tools/labels")) == taken
        for one in self.get(tenant, "/tools/deleted"):
            assert json.dumps(one)  # each is of this tenant: its patient was
            assert model.ever

    def check_single(self, tenant):
        """Ask for each instance that anybody has, as the core answers and as Python does."""
        model = self.models[tenant]
        for who, ids in self.ids.items():
            there = who in model.live
            for tail in ("", "/file", "/tags", "/statistics", "/metadata", "/file?filename=x"):
                answer = self.clients[tenant].get(f"/instances/{ids[3]}{tail}")
                assert answer.status_code == (200 if there else 404), (tenant, who, tail)
                if there and tail.startswith("/file"):
                    # What came over DICOM has meta information of ours before it.
                    data_set = data_set_bytes(FILES[who, tenant])
                    assert data_set_bytes(answer.content) == data_set
            uid = f"{ROOT}.{who[0]}.{who[1]}.1.{who[2]}"
            answer = self.clients[tenant].post("/tools/lookup", content=uid.encode())
            assert [one["ID"] for one in answer.json()] == ([ids[3]] if there else [])
            has = model.labels.get(who[:2], set()) if who[:2] in model.studies() else None
            answer = self.clients[tenant].get(f"/studies/{ids[1]}/labels")
            assert answer.status_code == (404 if has is None else 200)
            assert has is None or set(answer.json()) == has

    def check_dicom(self, title, tenant):
        model = self.models[tenant]
        live = {
            who
            for who in model.live
            if title != VIEW or VIEW_LABEL in model.labels.get(who[:2], set())
        }
        studies = {f"{ROOT}.{patient}.{study}" for patient, study, _ in live}
        instances = {f"{ROOT}.{p}.{s}.1.{n}" for p, s, n in live}
        assert self.found_over_dicom(title, "STUDY") == studies
        assert self.found_over_dicom(title, "IMAGE") == instances
        expected = {f"{ROOT}.1.1.1.{n}" for p, s, n in live if (p, s) == (1, 1)}
        for retrieve in (self.got_over_dicom, self.moved_over_dicom):
            brought = retrieve(title, 1, 1)
            assert set(brought) == expected
            assert set(brought.values()) <= {f"of tenant {tenant}"}

    def clear(self):
        """Leave nothing to the next example: nothing live, nothing that comes back."""
        for tenant in TENANTS:
            for one in self.get(tenant, "/patients"):
                self.clients[tenant].delete(f"/patients/{one}")
            self.post(tenant, "/tools/erase", {"All": True})
        self.models = {tenant: Model() for tenant in TENANTS}


class Associated:
    """An association that ends with its block."""

    def __init__(self, association):
        self.association = association

    def __enter__(self):
        return self.association

    def __exit__(self, *_):
        self.association.release()
