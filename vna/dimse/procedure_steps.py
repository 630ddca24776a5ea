"""N-CREATE and N-SET of the Modality Performed Procedure Step SOP class (PS3.4 Annex F)."""

from __future__ import annotations

from vna.dimse.serving import SUCCESS, Request
from vna.errors import AttributeMissing, BadRequest, Conflict, DuplicateInstance
from vna.services import procedure_steps, uids
from vna.services.node import Node

# Warning: attributes that could not be set (PS3.7 C.4.2).
ATTRIBUTE_LIST_ERROR = 0x0107
# "Performed Procedure Step Object may no longer be updated" (PS3.4 F.7.2.2.2).
NO_LONGER_UPDATED = 0xA710


async def create(node: Node, request: Request) -> None:
    """Take a step that a modality begins."""
    # The peer may leave the choice of the UID to us (PS3.7 10.1.5.1.4).
    uid = request.command.get("AffectedSOPInstanceUID") or uids.generate()
    try:
        await procedure_steps.create(node.control, uid, request.identifier(), request.caller)
    except AttributeMissing as error:
        await refuse(request, error)
        return
    except DuplicateInstance as error:
        answer = {"Status": error.dimse_status, "ErrorComment": str(error)}
        await request.finish(answer | {"AffectedSOPInstanceUID": uid})
        return
    await request.finish({"Status": SUCCESS, "AffectedSOPInstanceUID": uid})


async def change(node: Node, request: Request) -> None:
    """Change a step, or end it."""
    uid = request.command.get("RequestedSOPInstanceUID")
    if not uid:
        raise BadRequest("the N-SET names no Requested SOP Instance UID (0000,1001)")
    try:
        refused = await procedure_steps.change(
            node.control, uid, request.identifier(), request.caller
        )
    except AttributeMissing as error:
        await refuse(request, error)
        return
    except Conflict as error:
        answer = {"Status": error.dimse_status, "ErrorComment": str(error)}
        await request.finish(answer | {"ErrorID": NO_LONGER_UPDATED})
        return
    if refused:
        tags = [written(tag) for tag in refused]
        await request.finish({"Status": ATTRIBUTE_LIST_ERROR, "AttributeIdentifierList": tags})
    else:
        await request.finish({"Status": SUCCESS})


async def refuse(request: Request, error: AttributeMissing) -> None:
    """Answer that an attribute, or its value, is missing: which one goes with it (PS3.7 C.5)."""
    answer = {"Status": error.dimse_status, "ErrorComment": str(error)}
    await request.finish(answer | {"AttributeIdentifierList": [written(error.tag)]})


def written(tag: str) -> str:
    """Return a tag of DICOM JSON as command sets have it."""
    return f"{tag[:4]},{tag[4:]}"
