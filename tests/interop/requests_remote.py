"""Remote nodes: what is configured of them, and what a node of pynetdicom answers both servers."""

import contextlib
import json

from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from support_compare import Request
from support_requests import NO_SUCH_ID, get, post

STUDY = {"PatientID": "P1", "StudyInstanceUID": "1.2.3", "StudyDescription": "Knee"}
# Nobody listens on it.
NOWHERE = ["NOWHERE", "127.0.0.1", 1]


def found(event):
    """Answer every query with the same study, and refuse that of one patient."""
    if event.identifier.get("PatientID") == "REFUSED":
        yield 0xA700, None
        return
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 100"
    answer.QueryRetrieveLevel = event.identifier.get("QueryRetrieveLevel", "STUDY")
    answer.RetrieveAETitle = "PEER"
    for name, value in STUDY.items():
        setattr(answer, name, value)
    answer.PatientName = "Müller^Jörg"
    yield 0xFF00, answer


def moved(event):
    """Take no destination but one, and have nothing for that."""
    if event.move_destination != "VNA":
        yield None, None
        return
    yield "127.0.0.1", 1
    yield 0


def got(event):
    """Have nothing."""
    yield 0


@contextlib.contextmanager
def remote_node():
    """Run a remote node, called PEER; gives its port."""
    entity = AE(ae_title="PEER")
    entity.supported_contexts = StoragePresentationContexts[:100]
    for sop_class in (
        Verification,
        ModalityWorklistInformationFind,
        PatientRootQueryRetrieveInformationModelFind,
        PatientRootQueryRetrieveInformationModelGet,
        PatientRootQueryRetrieveInformationModelMove,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    ):
        entity.add_supported_context(sop_class)
    handlers = [
        (evt.EVT_C_FIND, found),
        (evt.EVT_C_MOVE, moved),
        (evt.EVT_C_GET, got),
        (evt.EVT_C_STORE, lambda event: 0),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def put(path, body, name):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(f"PUT {path} {name}", "PUT", path, data)


def delete(path):
    return Request(f"DELETE {path}", "DELETE", path)


def modalities(_):
    """Configure remote nodes, rightly and wrongly."""
    yield get("/modalities")
    one = "/modalities/ct"
    whole = {"AET": "CT", "Host": "h", "Port": 104}
    for name, body in {
        "(list)": ["CT", "h", 104],
        "(list with manufacturer)": ["CT", "h", 104, "GE"],
        "(object)": whole,
        "(port as text)": whole | {"Port": "104"},
        "(all that there is)": whole
        | {
            "Manufacturer": "Vitrea",
            "AllowEcho": False,
            "AllowStore": False,
            "AllowTranscoding": False,
            "UseDicomTls": True,
            "LocalAet": "ME",
            "Timeout": 5,
            "RetrieveMethod": "C-GET",
        },
        "(no commitment)": whole | {"AllowStorageCommitment": False},
        "(former manufacturer)": whole | {"Manufacturer": "SyngoVia"},
        "(more than is known)": whole | {"Color": "red"},
        "(short list)": ["CT", "h"],
        "(long list)": ["CT", "h", 104, "Generic", 1],
        "(no host)": {"AET": "CT"},
        "(no such manufacturer)": ["CT", "h", 104, "Nobody"],
        "(no such method)": whole | {"RetrieveMethod": "by post"},
        "(port 0)": whole | {"Port": 0},
        "(port 70000)": whole | {"Port": 70000},
        "(no switch)": whole | {"AllowEcho": "maybe"},
        "(nothing)": b"",
        "(no JSON)": b"x",
    }.items():
        yield put(one, body, name)
        yield get(f"{one}/configuration", f"{one}/configuration {name}")
    yield put("/modalities/a%20b", whole, "(a name with a space)")
    yield get("/modalities")
    yield get(one)
    yield delete(one)
    yield delete(one)
    for tail in ("", "/configuration", "/nothing"):
        yield get(f"/modalities/unknown{tail}")
    for method, path in (("POST", one), ("GET", f"{one}/echo"), ("PUT", "/modalities")):
        yield Request(f"{method} {path}", method, path, None if method == "GET" else b"{}")


def asked(held):
    """Ask a remote node for this and that."""
    with remote_node() as port:
        yield put("/modalities/peer", ["PEER", "127.0.0.1", port], "")
        yield put("/modalities/nowhere", NOWHERE, "")
        yield from echoes(port)
        yield from queries()
        yield from retrieves()
        yield from sends(held)
        yield delete("/modalities/peer")
        yield delete("/modalities/nowhere")


def echoes(port):
    for name in ("peer", "nowhere", "unknown"):
        yield post(f"/modalities/{name}/echo", {}, "")
    one = "/modalities/peer/echo"
    yield post(one, b"", "(nothing)")
    yield post(one, {"CheckFind": True, "Timeout": 5}, "(query too)")
    yield post(one, {"Timeout": "x"}, "(no time)")
    yield post(one, b"x", "(no JSON)")
    node = {"AET": "PEER", "Host": "127.0.0.1", "Port": port}
    for name, body in {
        "(object)": node,
        "(query too)": node | {"CheckFind": True},
        "(called by another name)": node | {"LocalAet": "ME", "Timeout": 5},
        "(list)": ["PEER", "127.0.0.1", port],
        "(nowhere)": node | {"Port": 1},
        "(no host)": {"AET": "PEER"},
        "(nothing)": b"",
    }.items():
        yield post("/tools/dicom-echo", body, name)


def queries():
    one = "/modalities/peer/query"
    study = {"Level": "Study", "Query": {"PatientID": "", "StudyDescription": "*"}}
    yield Request(f"POST {one}", "POST", one, json.dumps(study).encode(), keeps="ID")
    kept = "/queries/{kept}"
    for tail in (
        "",
        "/answers",
        "/answers?expand",
        "/answers?expand&simplify",
        "/answers?expand&short",
        "/answers/0",
        "/answers/0/content",
        "/answers/0/content?simplify",
        "/answers/0/content?short",
        "/answers/1/content",
        "/answers/x/content",
        "/answers/7",
        "/level",
        "/modality",
        "/query",
        "/query?simplify",
        "/query?short",
        "/retrieve",
        "/answers/0/query-series",
    ):
        yield get(f"{kept}{tail}")
    for below in ("studies", "series", "instances"):
        path = f"{kept}/answers/0/query-{below}"
        yield post(path, {"Query": {"Modality": "MR"}}, "")
    yield post(f"{kept}/answers/0/query-series", b"", "(nothing)")
    yield post(f"{kept}/answers/0/query-series", {}, "(no keys)")
    yield post(f"{kept}/answers/9/query-series", {}, "(no answer)")
    for name, body in {
        "(nothing)": b"",
        "(text)": b"VNA",
        "(full)": {"TargetAet": "VNA", "Full": True},
        "(simplified)": {"TargetAet": "VNA", "Simplify": True},
        "(by C-GET)": {"RetrieveMethod": "C-GET"},
        "(by post)": {"RetrieveMethod": "by post"},
        "(to nobody)": {"TargetAet": "NOBODY"},
    }.items():
        yield post(f"{kept}/answers/0/retrieve", body, name)
    yield post(f"{kept}/retrieve", {}, "(all)")
    yield post(f"{kept}/answers/9/retrieve", {}, "(no answer)")
    yield delete(kept)
    yield delete(kept)
    for tail in ("", "/answers", "/level"):
        yield get(f"/queries/nothing{tail}")
    for name, body in {
        "(patients)": study | {"Level": "Patient"},
        "(level in capitals)": study | {"Level": "PATIENT"},
        "(level in plural)": study | {"Level": "Studies"},
        "(no such level)": study | {"Level": "Frame"},
        "(no keys)": {"Level": "Study"},
        "(no level)": {"Query": {}},
        "(nothing)": b"",
        "(list)": [1],
        "(keys that are none)": {"Level": "Study", "Query": []},
        "(number)": {"Level": "Study", "Query": {"PatientID": 1}},
        "(no such tag)": {"Level": "Study", "Query": {"Foo": "x"}},
        "(tag by number)": {"Level": "Study", "Query": {"0010,0020": "P1"}},
        "(sequence)": {"Level": "Study", "Query": {"ReferencedStudySequence": []}},
        "(as it is)": study | {"Normalize": False},
        "(called by another name)": study | {"LocalAet": "ME", "Timeout": 5},
        "(no time)": study | {"Timeout": "x"},
        "(refused)": {"Level": "Study", "Query": {"PatientID": "REFUSED"}},
    }.items():
        yield post(one, body, name)
    for other in ("nowhere", "unknown"):
        yield post(f"/modalities/{other}/query", study, "")
    for name, body in {
        "find-worklist": {"PatientID": ""},
        "find-patient": {"PatientID": "*"},
        "find-study": {"PatientID": "P123"},
        "find-series": {"PatientID": "P123"},
        "find-instance": {},
    }.items():
        yield post(f"/modalities/peer/{name}", body, "")
    wrapped = {"Query": {"PatientID": ""}, "Short": True}
    yield post("/modalities/peer/find-worklist", wrapped, "(short)")


def retrieves():
    uid = {"StudyInstanceUID": "1.2.3"}
    for service in ("move", "get"):
        for name, body in {
            "(study)": {"Level": "Study", "Resources": [uid]},
            "(patient)": {"Level": "Patient", "Resources": [{"PatientID": "P1"}]},
            "(study by patient)": {"Level": "Study", "Resources": [{"PatientID": "P1"}]},
            "(called by another name)": {"Level": "Study", "Resources": [uid], "LocalAet": "ME"},
            "(to us)": {"Level": "Study", "Resources": [uid], "TargetAet": "VNA"},
            "(nothing of it)": {"Level": "Study", "Resources": []},
            "(no level)": {"Resources": [uid]},
            "(no resources)": {"Level": "Study"},
            "(no such level)": {"Level": "Frame", "Resources": [uid]},
            "(lists)": {"Level": "Study", "Resources": [["x"]]},
            "(no such tag)": {"Level": "Study", "Resources": [{"Foo": "x"}]},
            "(no body)": b"",
        }.items():
            yield post(f"/modalities/peer/{service}", body, name)
        body = {"Level": "Study", "Resources": [uid], "TargetAet": "NOBODY"}
        yield post(f"/modalities/peer/{service}", body, "(to nobody)")
        yield post(f"/modalities/nowhere/{service}", {"Level": "Study", "Resources": [uid]}, "")
        asynchronous = {"Level": "Study", "Resources": [uid], "Synchronous": False}
        yield post(f"/modalities/peer/{service}", asynchronous, "(later)")


def sends(held):
    one = next(each for each in held if each.name.endswith("CT_small.dcm"))
    instance = one.ids["instances"]
    for name, body in {
        "(id)": instance.encode(),
        "(id in quotes)": f'"{instance}"'.encode(),
        "(list)": [instance],
        "(object)": {"Resources": [instance]},
        "(called by other names)": {"Resources": [instance], "LocalAet": "ME", "CalledAet": "YOU"},
        "(for another)": {
            "Resources": [instance],
            "MoveOriginatorAet": "MOVER",
            "MoveOriginatorID": 7,
        },
        "(study)": [one.ids["studies"]],
        "(nothing of it)": [],
        "(later)": {"Resources": [instance], "Synchronous": False},
        "(no id)": NO_SUCH_ID.encode(),
        "(no id, permissive)": {"Resources": [NO_SUCH_ID], "Permissive": True},
        "(nothing)": b"",
        "(no resources)": {},
        "(text for a list)": {"Resources": instance},
        "(number)": {"Resources": [1]},
        "(no switch)": {"Resources": [], "Synchronous": "x"},
    }.items():
        yield post("/modalities/peer/store", body, name)
    yield post("/modalities/nowhere/store", instance.encode(), "")
    yield post("/modalities/nowhere/store", {"Resources": [instance], "Permissive": True}, "(all)")
    yield post("/modalities/unknown/store", instance.encode(), "")
    yield post("/modalities/peer/store-straight", b"abc", "(no DICOM)")
    yield get("/exports")
    yield get("/exports?last")
    yield delete("/exports")
    yield get("/exports", "/exports (cleared)")


def acceptance(_):
    """Change which transfer syntaxes and SOP classes are taken."""
    syntaxes, unknown = "/tools/accepted-transfer-syntaxes", "/tools/unknown-sop-class-accepted"
    yield get(syntaxes)
    for name, body in {
        "(one)": ["1.2.840.10008.1.2"],
        "(jpeg)": ["1.2.840.10008.1.2.4.5*"],
        "(text)": b"*",
        "(nothing)": b"",
        "(none)": [],
        "(object)": {"a": 1},
        "(number)": [1],
        "(all)": ["1.2.840.10008.1.*"],
    }.items():
        yield put(syntaxes, body, name)
    yield get("/tools/accepted-sop-classes")
    yield put("/tools/accepted-sop-classes", ["*"], "")
    yield get(unknown)
    for text in (b"true", b"1", b"0", b"false", b"perhaps", b""):
        yield put(unknown, text, f"({text.decode()})")
        yield get(unknown, f"{unknown} after {text.decode()}")
