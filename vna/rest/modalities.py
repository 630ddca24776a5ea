"""Remote nodes: what is known of them, and what they are asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from vna.errors import BadBody, BadRequest
from vna.rest import remote_bodies as bodies
from vna.rest.answers import json_response
from vna.rest.job_bodies import JobBody, answer_job
from vna.rest.requests import Call
from vna.services import commitment, performing, remote_find, retrieving, sending
from vna.services.named_tags import DataSet, data_set_of
from vna.services.peer import own_ae_title
from vna.services.remote_queries import Query, in_explicit, keys_of, shown
from vna.services.retrieving import Retrieve
from vna.services.sending import MoveOriginator, Store
from vna.settings import Modality

DONE = b"{}"
# What is below a modality, as clients of Orthanc list it.
BELOW = """
    configuration echo find find-instance find-patient find-series find-study find-worklist get
    move query storage-commitment store store-straight
"""


class StepBody(msgspec.Struct):
    """What a remote node is told of a procedure step."""

    tags: dict[str, Any] = msgspec.field(name="Tags")


async def listed(call: Call) -> Response:
    """List the remote nodes: their names, or with `expand` what is known of them."""
    known = call.node.modalities.all()
    if call.flag("expand"):
        return encoded({modality.name: bodies.described(modality) for modality in known})
    return encoded([modality.name for modality in known])


async def operations(call: Call) -> Response:
    """List what can be asked of a remote node."""
    call.node.modalities.get(call.path("id"))
    return encoded(BELOW.split())


async def configuration(call: Call) -> Response:
    """Return what is known of a remote node."""
    return encoded(bodies.described(call.node.modalities.get(call.path("id"))))


async def put(call: Call) -> Response:
    """Add or change a remote node."""
    name = call.path("id")
    if not bodies.MODALITY_NAME.fullmatch(name):
        raise BadBody(
            f"a modality is called {name[:64]!r}; a name has letters, digits, - and _, at most 64"
        )
    body = bodies.parsed(await bodies.read_text(call))
    await call.node.modalities.set(bodies.modality_of(body, name))
    return empty()


async def remove(call: Call) -> Response:
    """Forget a remote node."""
    name = call.path("id")
    call.node.modalities.get(name)
    await call.node.modalities.remove(name)
    return empty()


async def echo(call: Call) -> Response:
    """Test a remote node."""
    body = await bodies.read(call, bodies.EchoBody, empty=DONE)
    contact = bodies.contact(
        call.path("id"), timeout_s=body.timeout_s, calling_ae_title=body.local_aet
    )
    return await tested(call, contact.modality_of(call.node), body)


async def echo_any(call: Call) -> Response:
    """Test a node that need not be known."""
    value = bodies.parsed(await bodies.read_text(call))
    body = bodies.as_form(value if isinstance(value, dict) else {}, bodies.EchoBody)
    return await tested(call, bodies.modality_of(value, "remote"), body)


async def tested(call: Call, modality: Modality, body: bodies.EchoBody) -> Response:
    """Answer once a node has answered a C-ECHO, and a query if that is to be tested too."""
    by_default = call.archive.settings.dicom.echo_checks_find
    check_find = by_default if body.check_find is None else body.check_find
    await remote_find.verify(call.node, modality, check_find, call.caller.tenant)
    return json_response(DONE)


async def store(call: Call) -> Response:
    """Send resources to a remote node."""
    name = call.path("id")
    call.node.modalities.get(name)
    body = store_body(await bodies.read_text(call))
    contact = bodies.contact(
        name,
        host=body.host,
        port=body.port,
        called_ae_title=body.called_aet,
        calling_ae_title=body.local_aet,
        timeout_s=body.timeout_s,
    )
    originator = None
    if body.move_originator_aet:
        originator = MoveOriginator(body.move_originator_aet, body.move_originator_id)
    wanted = Store(
        contact=contact,
        resources=sorted(body.resources),
        instances=await sending.instances_of(call.node, body.resources, call.caller),
        permissive=body.permissive,
        move_originator=originator,
        commit=body.storage_commitment,
    )
    return await answer_job(
        call,
        body,
        sending.TYPE,
        msgspec.to_builtins(wanted),
        destination=sending.slot(name),
        show=sending.shown(call.node, wanted, call.caller.tenant),
    )


def store_body(text: bytes) -> bodies.StoreBody:
    """Return what a body says: an id, a list of ids, or an object."""
    return bodies.as_form(bodies.resources_of(text), bodies.StoreBody)


async def store_straight(call: Call) -> Response:
    """Send the DICOM file in the body to a remote node, without storing it here."""
    modality = call.node.modalities.get(call.path("id"))
    with call.budget.account() as account:
        file = await call.body(account)
        sent = await sending.send_file(call.node, modality, file, call.caller.tenant)
    return encoded(sent)


async def storage_commitment(call: Call) -> Response:
    """Ask a remote node to commit itself to instances; its report is at /storage-commitment."""
    name = call.path("id")
    call.node.modalities.get(name)
    body = await bodies.read(call, bodies.CommitBody)
    if body.resources is None and body.instances is None:
        raise BadBody("the body takes Resources, or DicomInstances")
    ids = await sending.instances_of(call.node, body.resources or (), call.caller)
    references = await sending.references(call.node, ids, call.caller.tenant)
    references += [commitment.Reference(*each) for each in body.pairs()]
    contact = bodies.contact(name, timeout_s=body.timeout_s)
    transaction_uid = await commitment.request(
        call.node, contact.modality_of(call.node), references, call.caller, contact.timeout_s
    )
    return encoded({"ID": transaction_uid, "Path": f"/storage-commitment/{transaction_uid}"})


async def query(call: Call) -> Response:
    """Ask a remote node what it has; the answers are at /queries."""
    name = call.path("id")
    call.node.modalities.get(name)
    body = await bodies.read(call, bodies.QueryBody)
    contact = bodies.contact(name, timeout_s=body.timeout_s, calling_ae_title=body.local_aet)
    asked = Query(
        contact=contact,
        level=body.level,
        keys=keys_of(body.query),
        normalize=body.normalize,
    )
    return await asked_query(call, asked)


async def asked_query(call: Call, asked: Query) -> Response:
    """Ask, and answer with the id of the query."""
    query_id = await call.node.queries.ask(asked, call.caller.tenant)
    return encoded({"ID": query_id, "Path": f"/queries/{query_id}"})


async def move(call: Call) -> Response:
    """Let a remote node send resources, to us or to another."""
    return await retrieve(call, "move")


async def get(call: Call) -> Response:
    """Fetch resources from a remote node over one association."""
    return await retrieve(call, "get")


async def retrieve(call: Call, service: retrieving.Service) -> Response:
    """Fetch resources from a remote node."""
    name = call.path("id")
    call.node.modalities.get(name)
    body = await bodies.read(call, bodies.RetrieveBody)
    level = remote_find.level_of(body.level)
    identifiers = [data_set_of(resource) for resource in body.resources]
    if service == "move":
        identifiers = [movable(each, level) for each in identifiers]
    target = None
    if service == "move":
        target = body.target_aet or own_ae_title(call.node, call.caller.tenant)
    wanted = Retrieve(
        contact=bodies.contact(name, timeout_s=body.timeout_s, calling_ae_title=body.local_aet),
        service=service,
        level=level,
        identifiers=identifiers,
        target=target,
        permissive=body.permissive,
    )
    return await answer_retrieve(call, body, wanted)


def movable(identifier: DataSet, level: remote_find.Level) -> DataSet:
    """Return the keys of an identifier that a C-MOVE takes; raises BadRequest if one is missing."""
    if level == "STUDY" and identifier.get(remote_find.ACCESSION_NUMBER, {}).get("Value"):
        return identifier
    above = remote_find.levels_down_to(level)
    wanted = [remote_find.UNIQUE_KEYS[each] for each in above if each == level or each != "PATIENT"]
    for tag in wanted:
        if not identifier.get(tag, {}).get("Value"):
            raise BadRequest(f"missing tag {tag[:4]},{tag[4:]} at level {level}")
    return {tag: identifier[tag] for tag in wanted}


async def answer_retrieve(
    call: Call, body: JobBody, wanted: Retrieve, form: str = "short"
) -> Response:
    """Submit the job and answer as it is wanted."""
    return await answer_job(
        call,
        body,
        retrieving.TYPES[wanted.service],
        msgspec.to_builtins(wanted),
        destination=sending.slot(wanted.contact.modality),
        show=retrieving.shown(call.node, wanted, call.caller.tenant, form),
    )


async def find_worklist(call: Call) -> Response:
    """Return the worklist items of a remote node."""
    modality = call.node.modalities.get(call.path("id"))
    value = bodies.parsed(await bodies.read_text(call))
    if not isinstance(value, dict):
        raise BadBody("the body takes an object of tags, or one with Query, Short and Full")
    wrapped = value if isinstance(value.get("Query"), dict) else {"Query": value}
    form: Any = "full" if wrapped.get("Full") else "short" if wrapped.get("Short") else "simplify"
    found = await remote_find.find_worklist(
        call.node, modality, data_set_of(wrapped["Query"]), call.caller.tenant
    )
    return json_response(joined(found, form))


async def create_step(call: Call) -> Response:
    """Tell a remote node that a procedure step has begun."""
    modality = call.node.modalities.get(call.path("id"))
    step = data_set_of((await bodies.read(call, StepBody)).tags)
    uid = await performing.create(call.node, modality, step, call.caller.tenant)
    return encoded({"SOPClassUID": performing.PROCEDURE_STEP, "SOPInstanceUID": uid})


async def change_step(call: Call) -> Response:
    """Tell a remote node of a change of a procedure step, or of its end."""
    modality = call.node.modalities.get(call.path("id"))
    step = data_set_of((await bodies.read(call, StepBody)).tags)
    await performing.change(call.node, modality, call.path("uid"), step, call.caller.tenant)
    return json_response(DONE)


# Superseded by queries, and still used.

PATIENT_KEYS = "PatientName PatientID PatientBirthDate PatientSex OtherPatientIDs"
STUDY_KEYS = """
    StudyDate StudyTime AccessionNumber ReferringPhysicianName StudyDescription StudyInstanceUID
    StudyID PatientID
"""
SERIES_KEYS = """
    SeriesDate SeriesTime Modality SeriesDescription BodyPartExamined OperatorsName ProtocolName
    SeriesInstanceUID SeriesNumber PerformedProcedureStepDescription StudyInstanceUID PatientID
"""
INSTANCE_KEYS = """
    SOPInstanceUID InstanceNumber InstanceCreationDate InstanceCreationTime SeriesInstanceUID
    StudyInstanceUID PatientID
"""
# Keys of which a search needs one, and all, with more than two characters that are no wildcards.
NARROWING = ("PatientID", "AccessionNumber")


async def find_patients(call: Call) -> Response:
    """Return the patients of a remote node."""
    return await found_at(call, "PATIENT", PATIENT_KEYS, ())


async def find_studies(call: Call) -> Response:
    """Return studies of a patient, or of an accession number."""
    return await found_at(call, "STUDY", STUDY_KEYS, (NARROWING,))


async def find_series(call: Call) -> Response:
    """Return the series of a study."""
    return await found_at(call, "SERIES", SERIES_KEYS, (NARROWING, ("StudyInstanceUID",)))


async def find_instances(call: Call) -> Response:
    """Return the instances of a series."""
    needed = (NARROWING, ("StudyInstanceUID",), ("SeriesInstanceUID",))
    return await found_at(call, "IMAGE", INSTANCE_KEYS, needed)


async def found_at(
    call: Call,
    level: remote_find.Level,
    keys: str,
    needed: tuple[tuple[str, ...], ...],
) -> Response:
    """Return what a remote node finds at a level."""
    modality = call.node.modalities.get(call.path("id"))
    body = await bodies.read(call, dict[str, Any], empty=DONE)
    for names in needed:
        if not any(len(str(body.get(name, "")).strip("*?")) > 2 for name in names):
            raise BadRequest(f"the search needs {' or '.join(names)}")
    return json_response(await find_joined(call, modality, level, keys, body))


async def find_joined(
    call: Call,
    modality: Modality,
    level: remote_find.Level,
    keys: str,
    wanted: dict[str, Any],
) -> bytes:
    """Return what a remote node finds, as a list."""
    asked = data_set_of(dict.fromkeys(keys.split(), "") | wanted)
    identifier = remote_find.fitted(asked, level, modality.manufacturer)
    found = await remote_find.find(call.node, modality, level, identifier, call.caller.tenant)
    return joined(found, "simplify")


async def find_all(call: Call) -> Response:
    """Return patients of a remote node with their studies and series in them."""
    modality = call.node.modalities.get(call.path("id"))
    body = await bodies.read(call, dict[str, Any], empty=DONE)

    async def at(
        level: remote_find.Level, keys: str, wanted: dict[str, Any]
    ) -> list[dict[str, Any]]:
        found = await find_joined(call, modality, level, keys, wanted)
        return msgspec.json.decode(found, type=list[dict[str, Any]])

    patients = await at("PATIENT", PATIENT_KEYS, body)
    for patient in patients:
        of_patient = {"PatientID": patient.get("PatientID", "")}
        patient["Studies"] = await at("STUDY", STUDY_KEYS, body | of_patient)
        for study in patient["Studies"]:
            of_study = {"StudyInstanceUID": study.get("StudyInstanceUID", "")}
            study["Series"] = await at("SERIES", SERIES_KEYS, body | of_patient | of_study)
    return encoded(patients)


def joined(found: remote_find.Answers, form: Any) -> bytes:
    """Return answers as one list."""
    shown_ = (
        shown(in_explicit(data_set, found.transfer_syntax_uid), form)
        for data_set in found.data_sets
    )
    return b"[" + b",".join(shown_) + b"]"


def encoded(value: Any) -> Response:
    """Return JSON."""
    return json_response(msgspec.json.encode(value))


def empty() -> Response:
    """Return the answer that says nothing but that it is done."""
    return Response(b"", media_type="text/plain")
