"""The server as a whole: what it is, what it counts, how it is."""

from __future__ import annotations

import json

import msgspec
from starlette.responses import Response

from vna.rest.answers import json_response
from vna.rest.requests import Call
from vna.services.archive import main_dicom_tags
from vna.settings.fields import MIB
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
        "IsHttpServerSecure": settings.http.is_local
        or (call.node.users.are_required and settings.http.tls),
        "MainDicomTags": {level: ";".join(tags) for level, tags in main_dicom_tags()},
        "MaximumPatientCount": settings.storage.maximum_patients,
        "MaximumStorageMode": settings.storage.maximum_mode.capitalize(),
        # In MB, and 0 is no bound to clients.
        "MaximumStorageSize": -(-settings.storage.maximum_bytes // MIB),
        "Name": settings.http.name or settings.dicom.aet,
        "OverwriteInstances": settings.storage.duplicates != "never",
        "OverwriteInstancesMode": overwrite[settings.storage.duplicates],
        "PluginsEnabled": False,
        "ReadOnly": settings.storage.read_only,
        "StorageAreaPlugin": None,
        "StorageCompression": bool(settings.storage.recompress),
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
