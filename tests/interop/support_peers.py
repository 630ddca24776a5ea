"""Peers on the DICOM network that nobody here wrote: DCMTK's programs, pynetdicom, Orthanc.

Each is a server with an AE title and a port, and knows our server as `VNA` on a port that it is
told. Where it can, it is a client too.
"""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import (
    AE,
    AllStoragePresentationContexts,
    build_context,
    build_role,
    evt,
)
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from support_ports import free_port

START_S = 60


def until(condition, what, seconds=START_S):
    """Wait until `condition()` is true and return what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)
    return found


def listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Program:
    """A server of DCMTK on a free port."""

    def __init__(self, folder, name, *arguments):
        path = shutil.which(name)
        assert path, f"{name} is missing: install dcmtk, as make test does"
        self.folder = Path(folder)
        self.port = free_port()
        self.log = (self.folder / f"{name}.log").open("wb")
        words = [path, *(str(one).format(port=self.port) for one in arguments)]
        self.process = subprocess.Popen(
            words, stdout=self.log, stderr=subprocess.STDOUT, cwd=folder
        )
        until(lambda: listening(self.port), f"{name} to listen")

    def output(self):
        return Path(self.log.name).read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def storescp(folder, aet="STORESCP", *options):
    """Start a destination that keeps what it gets in `folder`."""
    return Program(folder, "storescp", "-aet", aet, "+xa", "+uf", *options, "{port}")


def dcmqrscp(folder, vna_port, title="DCMQR"):
    """Start an archive that knows us as VNA."""
    folder = Path(folder)
    (folder / "db").mkdir()
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        "MaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nvna = (VNA, 127.0.0.1, {vna_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{title} {folder / 'db'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    return Program(folder, "dcmqrscp", "-c", configuration, "{port}")


def wlmscpfs(folder, items, title="WORKLIST"):
    """Start a worklist server that answers `items`."""
    place = Path(folder) / title
    place.mkdir()
    (place / "lockfile").touch()
    for number, item in enumerate(items):
        item.file_meta = pydicom.dataset.FileMetaDataset()
        item.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        pydicom.dcmwrite(place / f"{number}.wl", item, implicit_vr=False, little_endian=True)
    return Program(folder, "wlmscpfs", "-dfr", "-dfp", folder, "{port}")


class Pynetdicom:
    """A server that stores in memory, answers what it has, and notes what it was told."""

    title = "PYNETDICOM"

    def __init__(self, vna_port, items=(), tls=None):
        self.vna_port = vna_port
        self.stored = {}
        self.items = list(items)
        self.committed = []
        self.reports = []
        self.steps = {}
        self.contexts_seen = []
        ae = AE(self.title)
        ae.maximum_associations = 32
        for context in AllStoragePresentationContexts:
            uid, syntaxes = context.abstract_syntax, pydicom.uid.AllTransferSyntaxes
            ae.add_supported_context(uid, syntaxes, scu_role=True, scp_role=True)
        for uid in (
            Verification,
            PatientRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelFind,
            PatientRootQueryRetrieveInformationModelMove,
            StudyRootQueryRetrieveInformationModelMove,
            PatientRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelGet,
            ModalityWorklistInformationFind,
            ModalityPerformedProcedureStep,
        ):
            ae.add_supported_context(uid)
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self.ae = ae
        self.port = free_port()
        handlers = [
            (evt.EVT_C_ECHO, lambda event: 0),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_C_MOVE, self.move),
            (evt.EVT_C_GET, self.get),
            (evt.EVT_N_ACTION, self.action),
            (evt.EVT_N_EVENT_REPORT, self.event_report),
            (evt.EVT_N_CREATE, self.create),
            (evt.EVT_N_SET, self.set),
        ]
        self.server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls
        )

    def stop(self):
        self.server.shutdown()

    def store(self, event):
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        self.stored[data_set.SOPInstanceUID] = data_set
        return 0

    def matching(self, identifier):
        wanted = identifier.get("StudyInstanceUID") or ""
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        return [
            one for one in self.stored.values() if not any(wanted) or one.StudyInstanceUID in wanted
        ]

    def find(self, event):
        if event.context.abstract_syntax == ModalityWorklistInformationFind:
            for item in self.items:
                yield 0xFF00, item
            return
        found = {}
        for one in self.matching(event.identifier):
            answer = Dataset()
            answer.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            for element in event.identifier:
                if element.keyword and element.keyword != "QueryRetrieveLevel":
                    setattr(answer, element.keyword, one.get(element.keyword, ""))
            found[one.StudyInstanceUID] = answer
        for answer in found.values():
            yield 0xFF00, answer

    def move(self, event):
        if event.move_destination != "VNA":
            yield None, None
            return
        found = self.matching(event.identifier)
        yield "127.0.0.1", self.vna_port, {"contexts": contexts_of(found)}
        yield len(found)
        for one in found:
            yield 0xFF00, one

    def get(self, event):
        found = self.matching(event.identifier)
        yield len(found)
        for one in found:
            yield 0xFF00, one

    def action(self, event):
        """Take a request for storage commitment; the report goes over an association of our own."""
        request = event.action_information
        self.committed.append(request)
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        report.ReferencedSOPSequence = request.ReferencedSOPSequence
        threading.Thread(target=self.report, args=(report,)).start()
        return 0, None

    def report(self, report):
        ae = AE(self.title)
        context = build_context(StorageCommitmentPushModel)
        ae.requested_contexts = [context]
        role = pynetdicom_role(StorageCommitmentPushModel)
        association = ae.associate("127.0.0.1", self.vna_port, ae_title="VNA", ext_neg=[role])
        assert association.is_established
        status, _ = association.send_n_event_report(
            report, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
        )
        self.reports.append(status.Status)
        association.release()

    def event_report(self, event):
        self.reports.append(event.event_information)
        return 0, None

    def create(self, event):
        uid = event.request.AffectedSOPInstanceUID
        self.steps[uid] = event.attribute_list
        return 0, event.attribute_list

    def set(self, event):
        step = self.steps[event.request.RequestedSOPInstanceUID]
        step.update(event.modification_list)
        return 0, step


def pynetdicom_role(uid):
    """Return the negotiation item by which a requestor becomes SCP of `uid` (PS3.7 §D.3.3.4)."""
    return build_role(uid, scp_role=True, scu_role=False)


def contexts_of(data_sets):
    """Return presentation contexts for data sets as they are encoded."""
    offers = {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in data_sets}
    return [build_context(uid, syntax) for uid, syntax in sorted(offers)]
