"""Thumbnails of what is no image: an icon that says what it is (PS3.18 §10.4.1.1.4).

What stands for something is for the server to decide, and it has to be one picture. An icon says
nothing of the patient: its word follows from the SOP class alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from vna.rest.dicomweb.as_stored import is_video
from vna.rest.files import is_known
from vna.rest.pictures import DEFAULT_THUMBNAIL, etag
from vna.services import pictures

if TYPE_CHECKING:
    from vna.rest.requests import Call
    from vna.services.archive import StoredFile
    from vna.services.pictures import PictureRequest

STORAGE = "1.2.840.10008.5.1.4.1.1."
# What SOP classes begin with, behind the root of all of them; the longer one goes first.
WORDS = {
    "88.59": "KO",
    "88.": "SR",
    "104.1": "PDF",
    "104.2": "CDA",
    "104.3": "STL",
    "104.4": "OBJ",
    "104.5": "MTL",
    "9.1.": "ECG",
    "9.4.": "AUDIO",
    "9.": "WAVE",
    "11.": "PR",
    "66.": "REG",
    "481.": "RT",
}


def word_of(sop_class_uid: str, transfer_syntax_uid: str) -> str:
    """Return what is written on the icon of an instance."""
    if is_video(transfer_syntax_uid):
        return "VIDEO"
    kind = sop_class_uid.removeprefix(STORAGE)
    found = [word for beginning, word in WORDS.items() if kind.startswith(beginning)]
    return found[0] if found else "DICOM"


async def icon_response(
    call: Call, file: StoredFile, asked: PictureRequest, media_type: str
) -> Response:
    """Return the answer with the icon of an instance, in the size and form asked for."""
    word = word_of(file.sop_class_uid, file.transfer_syntax_uid)
    sides = [side for side in (asked.width, asked.height) if side]
    side = min(sides, default=DEFAULT_THUMBNAIL)
    tag = etag("icon", word, str(side), media_type, str(asked.quality))
    headers = {"ETag": tag, "Vary": "Accept"}
    if is_known(call, tag):
        return Response(None, 304, headers=headers)
    made = await pictures.icon(word, side, asked.form, asked.quality)
    return Response(made, headers=headers, media_type=media_type)
