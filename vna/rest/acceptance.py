"""Which instances the DICOM listener takes, as clients of Orthanc see and change it."""

from __future__ import annotations

from starlette.responses import Response

from vna.errors import BadBody
from vna.rest import remote_bodies as bodies
from vna.rest.modalities import empty, encoded
from vna.rest.requests import Call
from vna.services import acceptance

SWITCH = {"1": True, "true": True, "0": False, "false": False}


async def transfer_syntaxes(call: Call) -> Response:
    """List the transfer syntaxes in which instances are taken."""
    return encoded(acceptance.transfer_syntaxes(call.node))


async def set_transfer_syntaxes(call: Call) -> Response:
    """Take instances in these alone: the body is a list of UIDs, or one; `*` and `?` stand in."""
    text = await bodies.read_text(call)
    if text[:1] in (b"[", b"{", b'"'):
        value = bodies.parsed(text)
        wanted = bodies.as_form([value] if isinstance(value, str) else value, list[str])
    else:
        wanted = [text.decode("ascii", "replace")] if text else []
    for pattern in wanted:
        if not 0 < len(pattern) <= 64 or pattern.strip("0123456789.*?"):
            raise BadBody(f"{pattern[:64]!r} is no UID, with wildcards or without")
    acceptance.set_transfer_syntaxes(call.node, wanted)
    return await transfer_syntaxes(call)


async def sop_classes(call: Call) -> Response:
    """List the SOP classes of the standard that are taken."""
    return encoded(acceptance.sop_classes(call.node))


async def unknown_sop_classes(call: Call) -> Response:
    """Return 1 if SOP classes are taken that the standard does not name."""
    accepted = call.archive.settings.dicom.accept_unknown_sop_classes
    return Response("1" if accepted else "0", media_type="text/plain")


async def set_unknown_sop_classes(call: Call) -> Response:
    """Take SOP classes that the standard does not name, or not."""
    text = (await bodies.read_text(call)).decode("ascii", "replace")
    if text not in SWITCH:
        raise BadBody(f"the body is {text[:64]!r}; it takes true or false")
    acceptance.set_unknown_sop_classes(call.node, SWITCH[text])
    return empty()
