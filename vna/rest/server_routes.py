"""The server as a whole: what it is, what it counts, how it is."""

from __future__ import annotations

import json

import msgspec
from starlette.responses import Response

from vna.rest.answers import json_response
from vna.rest.requests import Call
from vna.services.archive import main_dicom_tags
from vna.settings import is_loopback
from vna.version import version

# The interface that clients written for Orthanc may expect of us; they decide by these two.
ORTHANC_VERSION = "1.12.11"
ORTHANC_API_VERSION = 30

DEFAULT_CHANGES = 100


async def system(call: Call) -> Response:
    """Return what this server is and can do."""
    settings = call.archive.settings
    overwrite = {"never": "Never", "always": "Always", "if-changed": "IfChanged"}
    body = {
        "ApiVersion": ORTHANC_API_VERSION,
        "Capabilities": {"HasExtendedChanges": True, "HasExtendedFind": True},
        "CheckRevisions": settings.notes.check_revisions,
        "DatabaseBackendPlugin": None,
        "DefaultRetrieveMethod": settings.dicom.retrieve_method.upper(),
        "DicomAet": settings.dicom.aet,
        "DicomPort": settings.dicom.port,
        "HasLabels": True,
        "HttpPort": settings.http.port,
        "IngestTranscoding": settings.storage.ingest_transcoding,
        # Known names over a wire that nobody reads, or a wire within this machine.
        "IsHttpServerSecure": is_loopback(settings.http.host)
        or (call.node.users.are_required and settings.http.tls),
        "MainDicomTags": {level: ";".join(tags) for level, tags in main_dicom_tags()},
        "MaximumPatientCount": 0,
        "MaximumStorageMode": "Reject",
        "MaximumStorageSize": 0,
        "Name": settings.http.name or settings.dicom.aet,
        "OverwriteInstances": settings.storage.duplicates != "never",
        "OverwriteInstancesMode": overwrite[settings.storage.duplicates],
        "PluginsEnabled": False,
        "ReadOnly": False,
        "StorageAreaPlugin": None,
        "StorageCompression": False,
        "UserMetadata": {each.name: each.number for each in settings.notes.metadata},
        "Version": ORTHANC_VERSION,
        "VnaVersion": version(),
    }
    return json_response(msgspec.json.encode(body))


async def statistics(call: Call) -> Response:
    """Return counts and sizes."""
    return json_response(call.archive.statistics(call.caller))


async def changes(call: Call) -> Response:
    """Return a page of the change feed."""
    types = [name for name in call.request.query_params.get("type", "").split(";") if name]
    limit = call.number("limit", DEFAULT_CHANGES)
    body = await call.archive.changes(
        call.number("since"), call.number("to"), limit or 0, types, call.flag("last"), call.caller
    )
    return json_response(body)


async def live(call: Call) -> Response:
    """Answer, which is all that it takes to be alive."""
    return json_response(b'{"live":true}')


async def ready(call: Call) -> Response:
    """Return 200 if instances can be stored and read, else 503, and the reason."""
    health = call.archive.health()
    return Response(
        health, 200 if json.loads(health)["ready"] else 503, media_type="application/json"
    )


async def metrics(call: Call) -> Response:
    """Return the core's metrics and those of this way in."""
    budget = call.budget
    own = (
        "# HELP vna_http_body_bytes Request bodies in memory, with the copies being stored.\n"
        "# TYPE vna_http_body_bytes gauge\n"
        f"vna_http_body_bytes {budget.used}\n"
        "# HELP vna_http_body_limit_bytes Bound of vna_http_body_bytes.\n"
        "# TYPE vna_http_body_limit_bytes gauge\n"
        f"vna_http_body_limit_bytes {budget.total}\n"
        "# HELP vna_jobs Jobs that are kept, by what they are doing.\n"
        "# TYPE vna_jobs gauge\n"
    )
    counts = await call.node.jobs.counts()
    own += "".join(f'vna_jobs{{state="{state}"}} {count}\n' for state, count in counts.items())
    text = call.archive.metrics() + own.encode()
    return Response(text, media_type="text/plain; version=0.0.4")
