"""Queries of remote nodes: their answers, and fetching those."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.responses import Response

from vna.errors import BadParameter, NotFound
from vna.rest import remote_bodies as bodies
from vna.rest.answers import json_response
from vna.rest.modalities import answer_retrieve, asked_query, encoded
from vna.rest.requests import Call, Handler, is_number
from vna.services import remote_find
from vna.services.named_tags import DataSet
from vna.services.peer import own_ae_title
from vna.services.remote_queries import Form, Query, keys_of, parents_of, shown, shown_keys
from vna.services.retrieving import Retrieve
from vna.settings.orthanc.nodes import retrieve_method

BELOW: dict[remote_find.Level, tuple[str, ...]] = {
    "PATIENT": ("query-studies", "query-series", "query-instances"),
    "STUDY": ("query-series", "query-instances"),
    "SERIES": ("query-instances",),
    "IMAGE": (),
}
LOWER = {"query-studies": "Study", "query-series": "Series", "query-instances": "Instance"}


async def listed(call: Call) -> Response:
    """List the queries."""
    return encoded(await call.node.queries.ids(call.caller.tenant))


async def operations(call: Call) -> Response:
    """List what there is of a query."""
    await asked(call)
    return encoded(["answers", "level", "modality", "query", "retrieve"])


async def remove(call: Call) -> Response:
    """Forget a query."""
    await call.node.queries.remove(call.path("id"), call.caller.tenant)
    return Response(b"", media_type="text/plain")


async def level(call: Call) -> Response:
    """Return the level that was asked for."""
    return Response((await asked(call)).level, media_type="text/plain")


async def modality(call: Call) -> Response:
    """Return which remote node was asked."""
    return Response((await asked(call)).contact.modality, media_type="text/plain")


async def keys(call: Call) -> Response:
    """Return what was asked for."""
    return json_response(shown_keys((await asked(call)).keys, form_of(call)))


async def answers(call: Call) -> Response:
    """List the answers: their numbers, or with `expand` what they say."""
    queries, tenant = call.node.queries, call.caller.tenant
    if not call.flag("expand"):
        count = await queries.count(call.path("id"), tenant)
        return encoded([str(number) for number in range(count)])
    form = form_of(call)
    found = await queries.answers(call.path("id"), tenant)
    # Off the loop: some nodes answer with thousands.
    return json_response(await asyncio.to_thread(joined, found, form))


def joined(found: list[bytes], form: Form) -> bytes:
    """Return answers as one list."""
    return b"[" + b",".join(shown(each, form) for each in found) + b"]"


async def answer_operations(call: Call) -> Response:
    """List what there is of an answer."""
    query = await asked(call)
    await answer(call)
    below = BELOW[remote_find.level_of(query.level)]
    return encoded(["content", "retrieve", *below])


async def content(call: Call) -> Response:
    """Return what an answer says."""
    form = form_of(call)
    return json_response(shown(await answer(call), form))


def lower(name: str) -> Handler:
    """Return the handler that asks for what is below an answer."""

    async def ask(call: Call) -> Response:
        query = await asked(call)
        found = await answer(call)
        own_level = remote_find.level_of(query.level)
        if name not in BELOW[own_level]:
            raise NotFound(f"there is no {name} below an answer of level {query.level}")
        body = await bodies.read(call, bodies.LowerBody)
        contact = query.contact
        if body.timeout_s:
            contact = msgspec.structs.replace(contact, timeout_s=body.timeout_s)
        wanted = {**keys_of(body.query), **parents_of(found, own_level)}
        return await asked_query(
            call, Query(contact=contact, level=LOWER[name], keys=only_study_root(wanted))
        )

    return ask


query_studies = lower("query-studies")
query_series = lower("query-series")
query_instances = lower("query-instances")


def only_study_root(wanted: DataSet) -> DataSet:
    """Return keys without that of the patient where a study says more."""
    if remote_find.UNIQUE_KEYS["STUDY"] not in wanted:
        return wanted
    return {tag: key for tag, key in wanted.items() if tag != remote_find.PATIENT_ID}


async def retrieve_all(call: Call) -> Response:
    """Fetch all that was found."""
    query = await asked(call)
    return await retrieve(
        call, query, await call.node.queries.answers(call.path("id"), call.caller.tenant)
    )


async def retrieve_one(call: Call) -> Response:
    """Fetch what one answer names."""
    query = await asked(call)
    return await retrieve(call, query, [await answer(call)])


async def retrieve(call: Call, query: Query, found: list[bytes]) -> Response:
    """Fetch what answers name; the body is an AE title, an object, or empty."""
    body = answers_body(await bodies.read_text(call))
    node, tenant = call.node, call.caller.tenant
    remote = query.contact.modality_of(node)
    method = (
        retrieve_method(body.retrieve_method)
        or remote.retrieve_method
        or node.archive.settings.dicom.retrieve_method
    )
    own_level = remote_find.level_of(query.level)
    contact = query.contact
    if body.timeout_s:
        contact = msgspec.structs.replace(contact, timeout_s=body.timeout_s)
    wanted = Retrieve(
        contact=contact,
        service="move" if method == "c-move" else "get",
        level=own_level,
        identifiers=[parents_of(each, own_level) for each in found],
        target=body.target_aet or own_ae_title(node, tenant) if method == "c-move" else None,
        permissive=body.permissive,
    )
    form = "full" if body.full else "simplify" if body.simplify else "short"
    return await answer_retrieve(call, body, wanted, form)


def answers_body(text: bytes) -> bodies.AnswersBody:
    """Return what a body says."""
    if text[:1] in (b"{", b"[", b'"'):
        value = bodies.parsed(text)
        if isinstance(value, str):
            value = {"TargetAet": value}
        return bodies.as_form(value, bodies.AnswersBody)
    return bodies.AnswersBody(target_aet=text.decode("ascii", "replace") or None)


async def asked(call: Call) -> Query:
    """Return the query that the path names."""
    return await call.node.queries.get(call.path("id"), call.caller.tenant)


async def answer(call: Call) -> bytes:
    """Return the answer that the path names."""
    text = call.path("index")
    await asked(call)
    if not is_number(text):
        raise BadParameter(f"an answer has a number, not {text[:64]!r}")
    return await call.node.queries.answer(call.path("id"), call.caller.tenant, int(text))


def form_of(call: Call) -> Form:
    """Return the form in which tags are wanted."""
    return "simplify" if call.flag("simplify") else "short" if call.flag("short") else "full"
